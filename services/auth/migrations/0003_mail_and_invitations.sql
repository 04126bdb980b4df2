CREATE TABLE invitations (
  organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  id uuid NOT NULL,
  -- Normalised like users.email.
  email text NOT NULL,
  role text NOT NULL CHECK (role IN ('admin', 'manager', 'employee')),
  -- Who sent it last.
  invited_by uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  revoked_at timestamptz,
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, invited_by) REFERENCES users
);
-- One open invitation for an address; an expired one is open too, so that inviting again renews it.
CREATE UNIQUE INDEX invitations_open ON invitations (organization_id, email)
  WHERE accepted_at IS NULL AND revoked_at IS NULL;

-- Mails that are to be sent. Never a token: it is made when the mail goes out.
CREATE TABLE mails (
  organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('password-reset', 'password-changed', 'invitation')),
  -- The user, or the invitation.
  subject_id uuid NOT NULL,
  recipient text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Also a lease: whoever takes a mail moves this ahead, and no transaction is open while the mail server answers.
  due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  PRIMARY KEY (organization_id, id)
);
CREATE INDEX mails_subject ON mails (organization_id, subject_id);
CREATE INDEX mails_due_at ON mails (due_at);

-- Several may be open for one subject: a mail whose delivery is not certain is sent again, with another token.
CREATE TABLE mail_tokens (
  -- SHA-256; a token has 128 random bits.
  token_hash bytea PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('password-reset', 'invitation')),
  subject_id uuid NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_subject ON mail_tokens (organization_id, subject_id);
CREATE INDEX mail_tokens_expires_at ON mail_tokens (expires_at);

-- "I forgot my password", as it was asked. Whether the address has an account is looked up after the answer has gone,
-- so that nothing about the answer, its time included, can depend on it.
CREATE TABLE password_requests (
  id uuid PRIMARY KEY,
  email text NOT NULL,
  ip_address text,
  user_agent text,
  request_id text
);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invitations
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE mails ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mails
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE mail_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mail_tokens
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE ON invitations TO worktide_auth_tenant;
GRANT SELECT, INSERT, DELETE ON mails TO worktide_auth_tenant;
GRANT SELECT (organization_id, kind, subject_id), DELETE ON mail_tokens TO worktide_auth_tenant;
