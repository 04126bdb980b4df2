-- What Hubnity's desktop needs to be remembered of it, and ours does not hold. Organisation first, and policies, as for buckets.

-- Its refresh tokens stay as they are for as long as a session lasts, while ours are spent with each use. So it has one of its own,
-- and ours lies here, sealed with a key that only the desktop's token gives: whoever reads this table has no token.
CREATE TABLE hubnity_sessions (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  -- SHA-256 of the secret part of the desktop's token.
  token_hash bytea NOT NULL,
  sealed bytea NOT NULL,
  used_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, token_hash)
);
-- What one person has of it is bounded.
CREATE INDEX hubnity_sessions_user ON hubnity_sessions (organization_id, user_id, used_at);
CREATE INDEX hubnity_sessions_age ON hubnity_sessions (used_at);

-- Under which id of ours something that the desktop may send twice was asked for.
CREATE TABLE hubnity_requests (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  -- SHA-256 of what it is known by.
  key bytea NOT NULL,
  request_id uuid NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, user_id, key)
);
CREATE INDEX hubnity_requests_user ON hubnity_requests (organization_id, user_id, made_at);
CREATE INDEX hubnity_requests_age ON hubnity_requests (made_at);

-- The last heartbeat of a person: the next one says what was between.
CREATE TABLE hubnity_heartbeats (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  at_ms bigint NOT NULL,
  active boolean NOT NULL,
  PRIMARY KEY (organization_id, user_id)
);

ALTER TABLE hubnity_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE hubnity_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE hubnity_heartbeats ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON hubnity_sessions
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON hubnity_requests
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON hubnity_heartbeats
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON hubnity_sessions, hubnity_requests, hubnity_heartbeats
  TO worktide_agent_protocols_tenant;
