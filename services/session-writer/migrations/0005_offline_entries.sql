-- What was said under the keys of offline entries. A key is one entry of its user for ever: its own, or the one that it was
-- merged into, also where somebody deleted that.
CREATE TABLE sync_keys (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  key text NOT NULL,
  entry_id uuid NOT NULL,
  -- The furthest that was said.
  status text NOT NULL CHECK (status IN ('RUNNING', 'PAUSED', 'STOPPED')),
  -- The entry has another key, or none.
  is_merged boolean NOT NULL,
  PRIMARY KEY (organization_id, user_id, key)
);
CREATE INDEX sync_keys_entry ON sync_keys (organization_id, user_id, entry_id);

-- Time worked of others that an open entry has taken in: it is part of it wherever that one will end.
CREATE TABLE sync_taken (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  entry_id uuid NOT NULL,
  worked tstzmultirange NOT NULL,
  PRIMARY KEY (organization_id, user_id, entry_id)
);

ALTER TABLE sync_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sync_keys
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE sync_taken ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sync_taken
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

-- A batch is applied as a tenant, like what people do by hand.
GRANT SELECT, INSERT, UPDATE ON sync_keys, sync_taken TO worktide_session_writer_tenant;
GRANT INSERT ON sync_batch_parts TO worktide_session_writer_tenant;
