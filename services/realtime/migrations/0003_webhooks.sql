-- Where an organisation's own systems are told what has happened.
CREATE TABLE webhooks (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  url text NOT NULL,
  description text,
  -- Of each event chosen, since when in epoch milliseconds: what happened before that is not told.
  events jsonb NOT NULL,
  -- As src/webhooks/secrets.ts seals them.
  secret text NOT NULL,
  old_secret text,
  old_secret_until timestamptz,

  enabled boolean NOT NULL DEFAULT true,
  off_at timestamptz,
  off_reason text CHECK (off_reason IN ('person', 'failing', 'backlog', 'gone')),
  -- In a row, and since when nothing got through.
  failures integer NOT NULL DEFAULT 0,
  failing_since timestamptz,
  -- When there is something to be done: the next delivery, of one in work the end of its lease.
  due_at timestamptz,
  -- Of whoever delivers until due_at. Who finds another one here, or none, has lost it.
  lease uuid,

  created_by uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  updated_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  PRIMARY KEY (organization_id, id),
  CHECK (enabled = (off_at IS NULL)),
  CHECK (enabled = (off_reason IS NULL)),
  CHECK ((old_secret IS NULL) = (old_secret_until IS NULL)),
  CHECK ((failures = 0) = (failing_since IS NULL))
);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;

-- One row for each event and webhook that asked for it. Its id is derived from both, so that a topic read again adds none;
-- and so rows outlive what the log keeps.
CREATE TABLE webhook_deliveries (
  organization_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  id uuid NOT NULL,
  -- The order in which they were told of.
  place bigint GENERATED ALWAYS AS IDENTITY,
  event_id uuid NOT NULL,
  event text NOT NULL,
  -- What it is about: of one object they are delivered in order.
  object text NOT NULL,
  status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'failed', 'dropped')),
  attempts integer NOT NULL DEFAULT 0,
  first_tried_at timestamptz,
  tries jsonb NOT NULL DEFAULT '[]',
  -- The body as it is sent, byte for byte, and what came back the last time. Not kept for all.
  payload text,
  answer text,
  due_at timestamptz DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  settled_at timestamptz,
  PRIMARY KEY (organization_id, webhook_id, id),
  FOREIGN KEY (organization_id, webhook_id) REFERENCES webhooks ON DELETE CASCADE,
  CHECK ((status = 'waiting') = (settled_at IS NULL)),
  CHECK ((status = 'waiting') = (due_at IS NOT NULL)),
  CHECK (status <> 'waiting' OR payload IS NOT NULL)
);
CREATE INDEX webhook_deliveries_list ON webhook_deliveries (organization_id, webhook_id, place);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (organization_id, webhook_id, place) WHERE status = 'waiting';
CREATE INDEX webhook_deliveries_object ON webhook_deliveries (organization_id, webhook_id, object, place)
  WHERE status = 'waiting';
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (settled_at) WHERE settled_at IS NOT NULL;

-- When deliveries of an organisation were begun last: the next is of whose turn was longest ago.
CREATE TABLE webhook_turns (
  organization_id uuid PRIMARY KEY,
  begun_at timestamptz NOT NULL
);

ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhooks
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON webhook_deliveries
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks TO worktide_realtime_tenant;
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries TO worktide_realtime_tenant;
