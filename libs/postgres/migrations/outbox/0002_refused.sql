-- Events that the log will never take (too large, say), out of the way of those behind them. Nothing reads this table by
-- itself: once the cause is mended, INSERT INTO outbox (id, due_at, events) SELECT id, now(), events FROM outbox_refused
-- has them published.
CREATE TABLE outbox_refused (
  id uuid PRIMARY KEY,
  refused_at timestamptz NOT NULL DEFAULT now(),
  reason text NOT NULL,
  -- As in the outbox.
  events bytea NOT NULL
);
