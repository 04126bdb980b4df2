-- By which log-in somebody acted.
ALTER TABLE audit ADD COLUMN IF NOT EXISTS session_id Nullable(UUID) AFTER request_id;
