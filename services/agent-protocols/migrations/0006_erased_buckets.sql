-- Whether time of this bucket was ever erased: only then a heartbeat looks for what. Set with the row locked, so whoever holds the
-- row knows of every range that has been cut out of it, and what is yet to be cut waits for the row.
ALTER TABLE buckets ADD COLUMN is_erased boolean NOT NULL DEFAULT false;
UPDATE buckets b SET is_erased = true
WHERE EXISTS (SELECT FROM erased_ranges e WHERE e.organization_id = b.organization_id AND e.user_id = b.user_id);
