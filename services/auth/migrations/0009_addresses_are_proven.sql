-- When it was proven that the address belongs to the account. Every account that is there was taken at its word, and so
-- is one that a release before this one makes meanwhile.
ALTER TABLE users ADD COLUMN verified_at timestamptz DEFAULT clock_timestamp();

-- An address that is not proven is nobody's: any number of registrations may name it, and the first that proves it has it.
ALTER TABLE users DROP CONSTRAINT users_email_key;
CREATE UNIQUE INDEX users_email_key ON users (email) WHERE verified_at IS NOT NULL;
CREATE INDEX users_unverified ON users (email, id) WHERE verified_at IS NULL;

-- First name, last name, picture: what people see of each other beside the name.
ALTER TABLE users ADD COLUMN profile jsonb NOT NULL DEFAULT '{}';

-- When the organisation is to be deleted with everything in it, where its last administrator asked for that.
ALTER TABLE organizations ADD COLUMN deletion_at timestamptz;
CREATE INDEX organizations_deletion_at ON organizations (deletion_at) WHERE deletion_at IS NOT NULL;

ALTER TABLE mails DROP CONSTRAINT mails_kind_check;
ALTER TABLE mails ADD CONSTRAINT mails_kind_check
  CHECK (kind IN ('password-reset', 'password-changed', 'invitation', 'verification', 'deletion-requested'));
ALTER TABLE mail_tokens DROP CONSTRAINT mail_tokens_kind_check;
ALTER TABLE mail_tokens ADD CONSTRAINT mail_tokens_kind_check
  CHECK (kind IN ('password-reset', 'invitation', 'verification'));
