-- By which rule the words of a task were made (tasks/words.ts); the service makes those of older rules anew by itself.
ALTER TABLE tasks ADD COLUMN words_form smallint NOT NULL DEFAULT 1;
CREATE INDEX tasks_words_form ON tasks (words_form, organization_id, id) WHERE words_form < 2;
