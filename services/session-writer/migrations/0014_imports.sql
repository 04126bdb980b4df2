-- What imports have brought: the entries of each part, so that a part is applied once and an import can be taken out as a whole.
-- Pings of an import need no such list, for its devices are its own.
CREATE TABLE import_parts (
  organization_id uuid NOT NULL,
  import_id uuid NOT NULL,
  user_id uuid NOT NULL,
  part integer NOT NULL,
  entry_ids uuid[] NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (organization_id, import_id, user_id, part)
);

-- Imports that were taken out, for as long as a record of theirs may still come.
CREATE TABLE removed_imports (
  organization_id uuid NOT NULL,
  import_id uuid NOT NULL,
  user_id uuid NOT NULL,
  removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (organization_id, import_id, user_id)
);

ALTER TABLE import_parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON import_parts
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE removed_imports ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON removed_imports
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

GRANT SELECT, INSERT, DELETE ON import_parts TO worktide_session_writer_tenant;
GRANT SELECT, INSERT ON removed_imports TO worktide_session_writer_tenant;
