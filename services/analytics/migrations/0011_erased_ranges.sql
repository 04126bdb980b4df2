-- Time that people had erased, as topic `erasures` tells of it. No input counts of it are kept, whenever they come; so it stays.
CREATE TABLE IF NOT EXISTS erased_ranges
(
    organization_id UUID,
    user_id UUID,
    from_ms Int64,
    to_ms Int64 COMMENT 'Exclusive',
    device_id String COMMENT 'Empty: all devices'
)
ENGINE = ReplacingMergeTree
ORDER BY (organization_id, user_id, from_ms, to_ms, device_id);
