-- Nothing of the record was applied: it is a dead letter. Where that is put back its outcome takes this one's place.
ALTER TABLE sync_batch_parts ADD COLUMN is_dead boolean NOT NULL DEFAULT false;
GRANT UPDATE (parts, outcome, is_dead, created_at) ON sync_batch_parts TO worktide_session_writer_tenant;
