-- Accounts of ClickHouse for analysts. A server that keeps users has them as users, made from here; the embedded engine, which
-- knows none, looks here at every request. The password is 256 random bits, of which only the digest is kept.
CREATE TABLE IF NOT EXISTS analyst_accounts
(
    organization_id UUID,
    id UUID,
    name String,
    user String,
    password_sha256 String COMMENT 'Hex',
    created_at DateTime64(3, 'UTC'),
    created_by UUID,
    version UInt64,
    deleted UInt8
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (organization_id, id);
