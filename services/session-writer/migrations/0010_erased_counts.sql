-- Input counts go with erased time, too: what was erased before this is worked off once more, and told of.
UPDATE erased_ranges
SET applied_at = NULL, begun_at = NULL, done_device = NULL, done_source = NULL, done_until = NULL;
