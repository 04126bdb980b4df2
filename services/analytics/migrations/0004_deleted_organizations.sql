-- Organisations of which nothing is to be stored any more.
CREATE TABLE IF NOT EXISTS deleted_organizations
(
    organization_id UUID,
    told_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    erased_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY organization_id;
