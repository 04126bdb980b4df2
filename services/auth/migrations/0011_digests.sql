-- What is new, as another service has gathered it for somebody: the only mails whose words are kept here until they are sent.
ALTER TABLE mails ADD COLUMN content json;
ALTER TABLE mails DROP CONSTRAINT mails_kind_check;
ALTER TABLE mails ADD CONSTRAINT mails_kind_check CHECK (
  kind IN ('password-reset', 'password-changed', 'invitation', 'verification', 'deletion-requested', 'digest')
  AND (kind = 'digest') = (content IS NOT NULL));

-- Passwords before what can wait.
DROP INDEX mails_turn;
CREATE INDEX mails_turn ON mails ((kind IN ('invitation', 'digest')), turn_at);
