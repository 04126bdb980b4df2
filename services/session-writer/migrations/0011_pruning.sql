-- Counts go by age.
CREATE INDEX input_minutes_minute ON input_minutes (minute);

-- When what was said under a key ended: a key goes when its organisation keeps neither the entry nor that time any more. NULL while
-- it was not said to be stopped; such a key may still move on, and stays.
ALTER TABLE sync_keys ADD COLUMN ended_at timestamptz;
UPDATE sync_keys k SET ended_at = coalesce(
  (SELECT e.ends_at FROM time_entries e WHERE e.organization_id = k.organization_id AND e.id = k.entry_id),
  now()
) WHERE status = 'STOPPED';
CREATE INDEX sync_keys_ended_at ON sync_keys (organization_id, ended_at);
