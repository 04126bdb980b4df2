-- An erasure is recorded by its request and worked off in slices, by one process at a time (store/eraser.ts).
ALTER TABLE erased_ranges
  -- From here on another erasure of the same time does not become part of it.
  ADD COLUMN begun_at timestamptz,
  -- How far it is: streams in the order of their identity, the last one up to an instant where one is given.
  ADD COLUMN done_device text COLLATE "C",
  ADD COLUMN done_source text COLLATE "C",
  ADD COLUMN done_until bigint;

-- By turns between organisations, and within each between users.
DROP INDEX erased_ranges_pending;
CREATE INDEX erased_ranges_pending ON erased_ranges (organization_id, user_id, requested_at) WHERE applied_at IS NULL;

-- A list leaves out what is recorded and not yet worked off.
GRANT SELECT ON erased_ranges TO worktide_session_writer_tenant;
