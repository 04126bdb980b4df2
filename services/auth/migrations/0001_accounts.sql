-- Organisations, the people in them, and what they prove themselves with.
-- organization_id stands first in every key: a query without it has no index to run on.

CREATE TABLE organizations (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  timezone text NOT NULL,
  subscription_status text NOT NULL DEFAULT 'trial'
    CHECK (subscription_status IN ('free', 'trial', 'pro', 'enterprise')),
  -- Only what was changed; defaults live in the code (organizationSettings).
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
  organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  id uuid NOT NULL,
  -- Normalised (lower case, NFC). One address is one account in the whole system: log-in knows no organisation.
  email text NOT NULL CONSTRAINT users_email_key UNIQUE,
  name text NOT NULL,
  -- PHC string, so that parameters can be raised while old hashes stay readable.
  password_hash text NOT NULL,
  role text NOT NULL CHECK (role IN ('admin', 'manager', 'employee')),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended')),
  timezone text NOT NULL,
  last_seen_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, id)
);

-- One log-in on one device: a family of refresh tokens.
CREATE TABLE sessions (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  device_name text,
  user_agent text,
  ip_address text,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  end_reason text CHECK (end_reason IN ('logout', 'logout-all', 'revoked', 'reuse')),
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, user_id) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX sessions_user ON sessions (organization_id, user_id, id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE refresh_tokens (
  -- SHA-256 of the token; the token has 256 random bits, so nothing slower is needed.
  token_hash bytea PRIMARY KEY,
  organization_id uuid NOT NULL,
  session_id uuid NOT NULL,
  -- The token this one was given for; NULL for the first of a session.
  parent_hash bytea,
  expires_at timestamptz NOT NULL,
  spent_at timestamptz,
  -- A token given for this one has been spent: from then on this one's return is a theft.
  successor_used boolean NOT NULL DEFAULT false,
  FOREIGN KEY (organization_id, session_id) REFERENCES sessions ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (organization_id, session_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE agent_keys (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  name text NOT NULL,
  device_id text NOT NULL,
  -- SHA-256; a key has 122 random bits.
  key_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, user_id) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX agent_keys_user ON agent_keys (organization_id, user_id, id) WHERE revoked_at IS NULL;

-- The feed that every service follows. Rows are kept for as long as anything issued before them may be believed.
CREATE TABLE revocations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- The writing transaction: readers go on from the oldest one still open, so a late commit is not missed.
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  organization_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('session', 'agent-key', 'user')),
  subject_id uuid NOT NULL,
  -- For a user: role, timezone and status as they are now.
  state jsonb,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX revocations_xid ON revocations (xid, id);
CREATE INDEX revocations_created_at ON revocations (created_at);

-- Public halves of every key that signs or signed; the private half only where this service made the key itself.
CREATE TABLE signing_keys (
  -- RFC 7638 thumbprint.
  kid text PRIMARY KEY,
  public_jwk jsonb NOT NULL,
  private_jwk jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- Set by an operator: from then on its tokens are refused.
  retired_at timestamptz
);
