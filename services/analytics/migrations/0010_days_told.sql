-- What topic `days` has been told of finished days: the row with the highest version; read it with FINAL.
CREATE TABLE IF NOT EXISTS days_told
(
    organization_id UUID,
    user_id UUID,
    date Date32,
    timezone LowCardinality(String),
    work_seconds UInt32,
    active_seconds UInt32,
    keyboard_clicks UInt64,
    mouse_movements UInt64,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(date)
ORDER BY (organization_id, user_id, date, timezone);
