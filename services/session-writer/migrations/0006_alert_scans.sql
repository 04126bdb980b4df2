-- How long the time without activity is that an alert is about: NULL while it lasts, also after somebody has resolved the alert.
-- What lies within it is no other alert's.
ALTER TABLE alerts ADD COLUMN idle_until timestamptz CHECK (type = 'idle' OR idle_until IS NULL);
CREATE INDEX alerts_idle_lasting ON alerts (organization_id, user_id) WHERE type = 'idle' AND idle_until IS NULL;
-- Lists of what is open, and overtime that may turn out to be none.
DROP INDEX alerts_open;
CREATE INDEX alerts_unresolved ON alerts (organization_id, created_at, id) WHERE resolved_at IS NULL;

-- How far the scan for alerts is. Of no organisation: nothing of it is read by a request.
CREATE TABLE alert_scans (
  name text PRIMARY KEY,
  -- What was changed by then has been looked at.
  until timestamptz NOT NULL
);
