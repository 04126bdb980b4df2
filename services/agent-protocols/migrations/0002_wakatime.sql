-- Heartbeats as editors send them: what pings of ours do not hold, project, language, branch and the like, for what the protocol
-- reads back. The time of day is a ping; here it is kept beside what it was spent on. Organisation first, and policies, as for
-- buckets.
CREATE TABLE heartbeats (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  -- Milliseconds, as it was seen.
  at_ms bigint NOT NULL,
  -- Derived from what it says, so that one that is sent again is the same.
  id uuid NOT NULL,
  device_id text COLLATE "C" NOT NULL,
  -- Name of a file, address or application; empty where it may not be kept.
  entity text NOT NULL,
  type text NOT NULL,
  category text,
  project text,
  branch text,
  language text,
  editor text NOT NULL,
  os text,
  machine text,
  user_agent text,
  lines integer,
  lineno integer,
  cursorpos integer,
  is_write boolean,
  dependencies text[],
  -- JSON object of the fields that this protocol did not know of when this was written.
  more text,
  PRIMARY KEY (organization_id, user_id, at_ms, id)
);
-- What comes before and after a heartbeat on its device.
CREATE INDEX heartbeats_device ON heartbeats (organization_id, user_id, device_id, at_ms);
-- For the sweep of what is old.
CREATE INDEX heartbeats_age ON heartbeats (at_ms);

ALTER TABLE heartbeats ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON heartbeats
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, DELETE ON heartbeats TO worktide_agent_protocols_tenant;
