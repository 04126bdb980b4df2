-- Every table: organisation first in the sort key, partition and sort key only of things that never change for an id,
-- so that any replay of the log, in any order, ends in the same rows.

-- Raw pings, for exploration; reports read `usage`. The gateway takes pings up to 90 days old and the topic keeps
-- them for 7 more, hence 100 days. Weekly partitions, so that the TTL drops whole parts and rewrites none.
CREATE TABLE IF NOT EXISTS pings
(
    organization_id UUID,
    user_id UUID,
    started_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD),
    id UUID,
    ended_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD),
    device_id LowCardinality(String),
    source LowCardinality(String),
    app LowCardinality(String),
    host LowCardinality(String) COMMENT 'Empty where the ping had no URL with a host',
    state Enum8('active' = 1, 'idle' = 2),
    title String CODEC(ZSTD),
    url String CODEC(ZSTD),
    project_id Nullable(UUID),
    time_entry_id Nullable(UUID),
    received_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD)
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(started_at)
ORDER BY (organization_id, user_id, started_at, id)
TTL toDateTime(started_at) + INTERVAL 100 DAY
SETTINGS ttl_only_drop_parts = 1;

-- The latest state of each usage entry is the row with the highest version; read it with FINAL. Tombstones stay
-- (never OPTIMIZE … CLEANUP): an older version replayed after its tombstone went would bring the entry back.
-- An entry's id is derived from its stream and start, and no entry crosses a UTC month.
CREATE TABLE IF NOT EXISTS usage
(
    organization_id UUID,
    user_id UUID,
    started_at DateTime64(3, 'UTC') CODEC(DoubleDelta, LZ4),
    id UUID,
    ended_at DateTime64(3, 'UTC') CODEC(DoubleDelta, LZ4),
    device_id LowCardinality(String),
    source LowCardinality(String),
    app LowCardinality(String),
    host LowCardinality(String) COMMENT 'Empty where the entry has no host',
    state Enum8('active' = 1, 'idle' = 2),
    version UInt64,
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(started_at)
ORDER BY (organization_id, user_id, started_at, id);
