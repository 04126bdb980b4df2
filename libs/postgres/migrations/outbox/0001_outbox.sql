-- What a transaction has to tell others, written with it; see libs/postgres/src/outbox.ts.
CREATE TABLE outbox (
  id uuid PRIMARY KEY,
  -- A sweep may take the row from then on: its writer is presumed dead, or the sweep that took it before.
  due_at timestamptz NOT NULL,
  events bytea NOT NULL
) WITH (
  -- Every row lives for moments: the table stays small only if it is vacuumed by count, not by share.
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_cost_delay = 0
);

-- Compressed already.
ALTER TABLE outbox ALTER COLUMN events SET STORAGE EXTERNAL;

CREATE INDEX outbox_due_at ON outbox (due_at);
