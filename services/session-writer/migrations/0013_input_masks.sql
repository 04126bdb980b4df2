-- An entry that is idle because the device's watcher of input says so: what its pings say is active.
ALTER TABLE usage_entries ADD COLUMN masked boolean NOT NULL DEFAULT false;
ALTER TABLE usage_entries ADD CONSTRAINT usage_entries_masked_is_idle CHECK (NOT masked OR state = 'idle');
