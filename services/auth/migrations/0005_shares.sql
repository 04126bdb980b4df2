-- Mails go out by turns between organisations: each that an organisation has waiting stands a little further back.
ALTER TABLE mails ADD COLUMN turn_at timestamptz NOT NULL DEFAULT clock_timestamp();
-- Those that somebody waits for come before what an organisation sends out.
CREATE INDEX mails_turn ON mails ((kind = 'invitation'), turn_at);

-- Of the live sessions of a user those not used for longest end where there are too many.
CREATE INDEX sessions_live ON sessions (organization_id, user_id) WHERE ended_at IS NULL;
ALTER TABLE sessions DROP CONSTRAINT sessions_end_reason_check;
ALTER TABLE sessions ADD CONSTRAINT sessions_end_reason_check
  CHECK (end_reason IN ('logout', 'logout-all', 'revoked', 'reuse', 'password', 'not-active', 'deleted', 'too-many'));
