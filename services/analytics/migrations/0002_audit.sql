-- Who did what to which object. Nothing in the system changes or deletes a row: it goes by age alone. 400 days are a year
-- and a month: a review held once a year finds its whole year, also when it is held some weeks late. Monthly partitions,
-- so that the TTL drops whole parts and rewrites none; a row may so outlive its time by a month.
-- An event's instant and id are made once, by who writes it: a replay ends in the same rows.
CREATE TABLE IF NOT EXISTS audit
(
    organization_id UUID,
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD),
    id UUID,
    action LowCardinality(String),
    actor_type LowCardinality(String),
    actor_id Nullable(UUID) COMMENT 'The user, also where an agent key acted',
    entity_type LowCardinality(String),
    entity_id String CODEC(ZSTD),
    before String COMMENT 'JSON; empty where there was nothing' CODEC(ZSTD),
    after String COMMENT 'JSON; empty where there is nothing' CODEC(ZSTD),
    ip_address String COMMENT 'Empty where not known' CODEC(ZSTD),
    user_agent String COMMENT 'Empty where not known' CODEC(ZSTD),
    request_id String COMMENT 'Empty where no request led to it' CODEC(ZSTD),
    service LowCardinality(String),
    -- One actor, or one object, of a large organisation over a year: most granules hold nothing of either.
    INDEX by_actor actor_id TYPE bloom_filter GRANULARITY 1,
    INDEX by_entity entity_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (organization_id, at, id)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;
