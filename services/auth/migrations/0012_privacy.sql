-- What the organisation decided is never recorded, as far as it was changed: defaults live in the code (privacyRules). The
-- version rises with each change, also of the blur, which is a setting and shown among them.
ALTER TABLE organizations ADD COLUMN privacy jsonb NOT NULL DEFAULT '{}';
ALTER TABLE organizations ADD COLUMN privacy_version integer NOT NULL DEFAULT 0;

-- When somebody paused what is recorded of them, the last time: also when it is over, for what comes late.
ALTER TABLE users ADD COLUMN paused_from timestamptz;
ALTER TABLE users ADD COLUMN paused_until timestamptz;
ALTER TABLE users ADD CONSTRAINT users_pause CHECK (
  (paused_from IS NULL) = (paused_until IS NULL) AND paused_from <= paused_until);
