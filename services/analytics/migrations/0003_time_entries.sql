-- Clicks and movements of a minute. Of all rows of one minute of a device the greater of each count holds, and merging rows is
-- just that: read max() by (organization, user, minute, device), so that it matters to nobody what has been merged.
CREATE TABLE IF NOT EXISTS input_minutes
(
    organization_id UUID,
    user_id UUID,
    minute DateTime64(3, 'UTC') COMMENT 'Its beginning' CODEC(DoubleDelta, ZSTD),
    device_id LowCardinality(String),
    keyboard_clicks SimpleAggregateFunction(max, UInt64),
    mouse_movements SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (organization_id, user_id, minute, device_id);

-- The latest state of each time entry is the row with the highest version; read it with FINAL. Start and end are edited,
-- hence neither is part of the key. Without partitions: a few rows a person and day, and nothing that is asked for would
-- leave any partition out. Tombstones stay, as those of `usage`.
CREATE TABLE IF NOT EXISTS time_entries
(
    organization_id UUID,
    user_id UUID,
    id UUID,
    kind Enum8('timer' = 1, 'manual' = 2, 'offline' = 3, 'imported' = 4),
    status Enum8('RUNNING' = 1, 'PAUSED' = 2, 'STOPPED' = 3),
    project_id Nullable(UUID),
    task_id Nullable(UUID),
    description String COMMENT 'Empty where there is none' CODEC(ZSTD),
    tags Array(String),
    billable UInt8,
    timezone LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Exclusive; NULL while it is open',
    pause_starts Array(DateTime64(3, 'UTC')) COMMENT 'In order, disjoint, within the entry',
    pause_ends Array(Nullable(DateTime64(3, 'UTC'))) COMMENT 'One for each start; the last is NULL while it is paused',
    created_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    version UInt64,
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (organization_id, user_id, id);

-- The latest state of each alert is the row with the highest version; read it with FINAL. None is ever deleted.
CREATE TABLE IF NOT EXISTS alerts
(
    organization_id UUID,
    user_id UUID,
    id UUID,
    type Enum8('idle' = 1, 'overtime' = 2),
    date Date32 COMMENT 'A day of the zone of the person',
    time_entry_id Nullable(UUID),
    message String CODEC(ZSTD),
    created_at DateTime64(3, 'UTC'),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    resolved_by Nullable(UUID) COMMENT 'NULL: not resolved, or by itself',
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, user_id, id);
