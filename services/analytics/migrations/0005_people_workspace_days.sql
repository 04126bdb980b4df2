-- Who and what there is, as auth and workspace say: the latest state of each is the row with the highest version; read it
-- with FINAL. What is gone keeps its row, with `deleted` 1: its name stays with the time that was spent on it.
CREATE TABLE IF NOT EXISTS people
(
    organization_id UUID,
    id UUID,
    name String,
    role Enum8('admin' = 1, 'manager' = 2, 'employee' = 3),
    status Enum8('active' = 1, 'inactive' = 2, 'suspended' = 3),
    timezone LowCardinality(String),
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, id);

CREATE TABLE IF NOT EXISTS organizations
(
    organization_id UUID,
    name String,
    timezone LowCardinality(String),
    subscription_status LowCardinality(String),
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY organization_id;

CREATE TABLE IF NOT EXISTS projects
(
    organization_id UUID,
    id UUID,
    name String,
    status LowCardinality(String),
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, id);

CREATE TABLE IF NOT EXISTS teams
(
    organization_id UUID,
    id UUID,
    project_id Nullable(UUID) COMMENT 'NULL: of no project, a department',
    name String,
    member_ids Array(UUID) COMMENT 'Leads among them',
    lead_ids Array(UUID),
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, id);

CREATE TABLE IF NOT EXISTS tasks
(
    organization_id UUID,
    id UUID,
    project_id UUID,
    title String,
    status LowCardinality(String),
    priority LowCardinality(String),
    assignee_id Nullable(UUID),
    creator_id UUID,
    due_date String COMMENT 'A day or an instant; empty where there is none',
    completed_at Nullable(DateTime64(3, 'UTC')),
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, id);

CREATE TABLE IF NOT EXISTS screenshots
(
    organization_id UUID,
    user_id UUID,
    id UUID,
    status Enum8('pending' = 1, 'ready' = 2, 'failed' = 3),
    captured_at DateTime64(3, 'UTC'),
    time_entry_id Nullable(UUID),
    blur_level Nullable(UInt8),
    width Nullable(UInt32),
    height Nullable(UInt32),
    failure_code String COMMENT 'Empty where it did not fail',
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, user_id, id);

-- Sums of one day of one person in a zone, by the same query as the live reports: the row with the highest version, which
-- is the instant (µs) at which the query began; read it with FINAL. Whole seconds, so that all larger sums are sums of
-- these. Apps and hosts stand in the row, longest first: a day is replaced as a whole, and an app that is gone leaves
-- nothing behind.
CREATE TABLE IF NOT EXISTS days
(
    organization_id UUID,
    user_id UUID,
    date Date32,
    timezone LowCardinality(String),
    work_seconds UInt32,
    active_seconds UInt32,
    hosted_seconds UInt32 COMMENT 'Active time with any host',
    keyboard_clicks UInt64,
    mouse_movements UInt64,
    apps Array(String),
    app_seconds Array(UInt32),
    hosts Array(String),
    host_seconds Array(UInt32),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(date)
ORDER BY (organization_id, user_id, date, timezone);

-- When something of a person's UTC day was stored last. Sums that were begun before that are stale, and read live.
CREATE TABLE IF NOT EXISTS day_changes
(
    organization_id UUID,
    user_id UUID,
    utc_date Date32,
    changed_at SimpleAggregateFunction(max, UInt64) DEFAULT toUnixTimestamp64Micro(now64(6))
        COMMENT 'µs, by the clock of this server, after what was stored'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(utc_date)
ORDER BY (organization_id, user_id, utc_date);

-- Of what is there already.
INSERT INTO day_changes (organization_id, user_id, utc_date)
SELECT DISTINCT organization_id, user_id,
    toDate32(arrayJoin(range(toUInt32(toDate(started_at)), toUInt32(toDate(ended_at)) + 1)))
FROM usage;
INSERT INTO day_changes (organization_id, user_id, utc_date)
SELECT DISTINCT organization_id, user_id, toDate32(minute) FROM input_minutes;
