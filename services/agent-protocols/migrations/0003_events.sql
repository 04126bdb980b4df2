-- The length of the longest event that a bucket has had, in microseconds: how far before a span an event may begin that reaches
-- into it.
ALTER TABLE buckets ADD COLUMN longest bigint NOT NULL DEFAULT 0;
-- For the sweep of what is old: events are written in the order of time, nearly.
CREATE INDEX events_age ON events USING brin (started_at);
