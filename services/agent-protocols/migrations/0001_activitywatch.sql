-- Buckets and events as ActivityWatch has them, of a person's device. organization_id stands first in every key, and a second
-- wall behind every query: requests run as the role worktide_agent_protocols_tenant, which the policies below show one
-- organisation. Times are microseconds, which is what the protocol has.

CREATE TABLE buckets (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  device_id text COLLATE "C" NOT NULL,
  bucket_id text COLLATE "C" NOT NULL,
  -- Names it in the table of events.
  number bigint GENERATED ALWAYS AS IDENTITY,
  type text NOT NULL,
  client text NOT NULL,
  hostname text NOT NULL,
  created_at timestamptz NOT NULL,
  -- JSON, as it was given.
  data text NOT NULL DEFAULT '{}',
  last_event_number bigint NOT NULL DEFAULT 0,
  -- The event that begins last, which heartbeats go on with: here, so that a heartbeat changes one row. Null where there is none.
  last_number bigint,
  last_started_at bigint,
  last_length bigint,
  last_data text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, user_id, device_id, bucket_id),
  CHECK ((last_number IS NULL) = (last_started_at IS NULL) AND (last_number IS NULL) = (last_length IS NULL)
    AND (last_number IS NULL) = (last_data IS NULL))
) WITH (
  -- A row changes with every heartbeat: room to do so in place.
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.1,
  autovacuum_vacuum_cost_delay = 0
);
CREATE UNIQUE INDEX buckets_number ON buckets (organization_id, number);

-- All events but the last of each bucket.
CREATE TABLE events (
  organization_id uuid NOT NULL,
  bucket bigint NOT NULL,
  number bigint NOT NULL,
  started_at bigint NOT NULL,
  length bigint NOT NULL CHECK (length >= 0),
  data text NOT NULL,
  PRIMARY KEY (organization_id, bucket, number)
);
CREATE INDEX events_started_at ON events (organization_id, bucket, started_at, number);

-- What a client keeps of its settings; of a person, not of a device.
CREATE TABLE settings (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  key text COLLATE "C" NOT NULL,
  value text NOT NULL,
  PRIMARY KEY (organization_id, user_id, key)
);

-- Time that was erased stays erased: a client that sends it again changes nothing.
CREATE TABLE erased_ranges (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  -- Empty: all devices.
  device_id text COLLATE "C" NOT NULL,
  -- Milliseconds, [from_ms, to_ms).
  from_ms bigint NOT NULL,
  to_ms bigint NOT NULL,
  PRIMARY KEY (organization_id, user_id, device_id, from_ms, to_ms)
);

-- Organisations of which nothing is to be stored any more.
CREATE TABLE deleted_organizations (
  organization_id uuid PRIMARY KEY,
  told_at timestamptz NOT NULL DEFAULT now(),
  erased_at timestamptz
);

-- The parentheses make it one value for the whole query, not one for every row.
ALTER TABLE buckets ENABLE ROW LEVEL SECURITY;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE erased_ranges ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON buckets
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON events
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON settings
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON erased_ranges
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON buckets, events, settings TO worktide_agent_protocols_tenant;
GRANT SELECT ON erased_ranges TO worktide_agent_protocols_tenant;

-- The outbox has no tenant: it is written within tenants' transactions, and its events are not to be read there.
GRANT INSERT, DELETE, SELECT (id), UPDATE (due_at) ON outbox TO worktide_agent_protocols_tenant;
