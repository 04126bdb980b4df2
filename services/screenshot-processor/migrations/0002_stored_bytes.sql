-- How many bytes an organisation has stored: the sum of its rows here. Each statement that changes screenshots adds what
-- it changes, in its own transaction, as a row of its own: one counter would be a lock that an organisation's workers
-- queue for. src/stored puts the rows together.

CREATE TABLE stored_bytes (
  organization_id uuid NOT NULL,
  bytes bigint NOT NULL
);
CREATE INDEX stored_bytes_organization ON stored_bytes (organization_id);

-- An upload until it is processed, then what became of it; nothing of what failed or was deleted.
CREATE FUNCTION bytes_of(s screenshots) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN s.deleted_at IS NOT NULL OR s.status = 'failed' THEN 0
    WHEN s.status = 'pending' THEN s.upload_bytes
    ELSE s.picture_bytes + coalesce(s.thumbnail_bytes, 0)
  END
$$;

-- As their owner: the tenant's role, under which screenshots change, has no part in the table.
CREATE FUNCTION add_stored_bytes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = screenshots, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO stored_bytes SELECT organization_id, sum(bytes_of(n)) FROM new_rows n
      GROUP BY organization_id HAVING sum(bytes_of(n)) <> 0;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO stored_bytes SELECT organization_id, -sum(bytes_of(o)) FROM old_rows o
      GROUP BY organization_id HAVING sum(bytes_of(o)) <> 0;
  ELSE
    INSERT INTO stored_bytes SELECT organization_id, sum(bytes) FROM (
      SELECT organization_id, bytes_of(n) AS bytes FROM new_rows n
      UNION ALL SELECT organization_id, -bytes_of(o) FROM old_rows o) AS changes
      GROUP BY organization_id HAVING sum(bytes) <> 0;
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER stored_bytes_insert AFTER INSERT ON screenshots REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION add_stored_bytes();
CREATE TRIGGER stored_bytes_update AFTER UPDATE ON screenshots REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION add_stored_bytes();
CREATE TRIGGER stored_bytes_delete AFTER DELETE ON screenshots REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION add_stored_bytes();

INSERT INTO stored_bytes SELECT organization_id, sum(bytes_of(s)) FROM screenshots s
  GROUP BY organization_id HAVING sum(bytes_of(s)) <> 0;
