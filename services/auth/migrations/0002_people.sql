-- Users that an administrator deleted keep their row: what they did still has a name in reports and audit. Their
-- address is free again, and nothing they proved themselves with is kept.
ALTER TABLE users ADD COLUMN deleted_at timestamptz;
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
ALTER TABLE users ALTER COLUMN password_hash DROP NOT NULL;
ALTER TABLE users ADD CONSTRAINT users_deleted
  CHECK (
    CASE WHEN deleted_at IS NULL THEN email IS NOT NULL AND password_hash IS NOT NULL
    ELSE email IS NULL AND password_hash IS NULL AND status = 'inactive' END
  );

ALTER TABLE organizations ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

ALTER TABLE sessions DROP CONSTRAINT sessions_end_reason_check;
ALTER TABLE sessions ADD CONSTRAINT sessions_end_reason_check
  CHECK (end_reason IN ('logout', 'logout-all', 'revoked', 'reuse', 'password', 'not-active', 'deleted'));

ALTER TABLE revocations DROP CONSTRAINT revocations_kind_check;
ALTER TABLE revocations ADD CONSTRAINT revocations_kind_check
  CHECK (kind IN ('session', 'agent-key', 'user', 'organization'));

-- What the billing provider told already; the same event again has no effect. Kept for good: an organisation has a few
-- a month, and the provider may send one again whenever it likes.
CREATE TABLE billing_events (
  id text PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  received_at timestamptz NOT NULL DEFAULT now()
);

-- The second wall: a request of an organisation runs as worktide_auth_tenant, which sees that organisation's rows alone.
-- What begins without a tenant (log-in by address, a token's owner) runs as the owner of the tables.
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organizations
  USING (id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sessions
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE refresh_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON refresh_tokens
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE agent_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON agent_keys
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE revocations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON revocations
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

GRANT SELECT, UPDATE ON organizations, users, sessions TO worktide_auth_tenant;
GRANT SELECT, INSERT, UPDATE ON agent_keys TO worktide_auth_tenant;
GRANT INSERT ON revocations, refresh_tokens TO worktide_auth_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO worktide_auth_tenant;
