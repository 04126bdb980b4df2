-- Offline entries that go into one another are written as they are in the end, each once; on the way one may lie over
-- another that is yet to give way.
ALTER TABLE time_entries DROP CONSTRAINT time_entries_no_overlap;
ALTER TABLE time_entries ADD CONSTRAINT time_entries_no_overlap
  EXCLUDE USING gist (organization_id WITH =, user_id WITH =, span WITH &&) WHERE (deleted_at IS NULL)
  DEFERRABLE INITIALLY IMMEDIATE;
