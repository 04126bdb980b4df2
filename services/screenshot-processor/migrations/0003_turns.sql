-- What is due, by whose turn it is: the oldest of each person with one step on the index, however much waits.
DROP INDEX screenshots_due;
CREATE INDEX screenshots_due ON screenshots (organization_id, user_id, due_at) WHERE due_at IS NOT NULL;
-- Rows whose work has ended without a word more than once (src/work/claims.ts): as good as none.
CREATE INDEX screenshots_suspect ON screenshots (due_at) WHERE due_at IS NOT NULL AND takes - postponed >= 3;
