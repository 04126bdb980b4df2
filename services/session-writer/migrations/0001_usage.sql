-- Who used what and when; see services/session-writer/src/store. Instants are whole milliseconds since the epoch, spans [started_at, ended_at).

-- One watcher of one device of one user. Whoever changes its entries holds this row, rows being locked in order of id.
CREATE TABLE streams (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  device_id text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  -- Highest version ever given to an entry of this stream; outlives the entries.
  last_version bigint NOT NULL DEFAULT 0,
  CONSTRAINT streams_identity UNIQUE (organization_id, user_id, device_id, source)
) WITH (
  -- A row changes with every transaction that has pings for it: room to do so in place.
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.1,
  autovacuum_vacuum_cost_delay = 0
);

-- Partitions are made and dropped by the service itself (store/partitions.ts), which also gives them the bounds of their month.
CREATE TABLE usage_entries (
  -- First day of the UTC month. Nothing crosses its boundary.
  month date NOT NULL,
  -- Derived from the stream's identity and started_at.
  id uuid NOT NULL,
  stream_id bigint NOT NULL,
  started_at bigint NOT NULL,
  ended_at bigint NOT NULL,
  version bigint NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('active', 'idle')),
  app text COLLATE "C" NOT NULL,
  host text COLLATE "C",
  during int8range GENERATED ALWAYS AS (int8range(started_at, ended_at)) STORED,
  PRIMARY KEY (month, id),
  CHECK (started_at < ended_at),
  -- Deferrable, to the end of the statement: a boundary may move between two rows of one UPDATE.
  CONSTRAINT usage_entries_no_overlap EXCLUDE USING gist (stream_id WITH =, during WITH &&, month WITH =)
    DEFERRABLE INITIALLY IMMEDIATE
) PARTITION BY LIST (month);

-- Neighbours, and pages of a list: entries of a stream are disjoint, so the last start before a time finds what covers it.
CREATE INDEX usage_entries_started_at ON usage_entries (stream_id, started_at);

-- Unowned time that an entry bridges. Rows of their own, not a list in the entry: a day of flicker has tens of
-- thousands, and each ping would write them all again.
CREATE TABLE usage_gaps (
  month date NOT NULL,
  stream_id bigint NOT NULL,
  started_at bigint NOT NULL,
  ended_at bigint NOT NULL,
  PRIMARY KEY (month, stream_id, started_at),
  CHECK (started_at < ended_at)
) PARTITION BY LIST (month);

-- Time that a user or manager erased. It stays erased for every stream of the user, also for one first seen later,
-- because what was deleted would come back with the next replay of the log.
CREATE TABLE erased_ranges (
  id uuid PRIMARY KEY,
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  -- NULL: all devices.
  device_id text COLLATE "C",
  started_at bigint NOT NULL,
  ended_at bigint NOT NULL,
  requested_by uuid NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  -- NULL while entries that were there before may still be.
  applied_at timestamptz,
  during int8range GENERATED ALWAYS AS (int8range(started_at, ended_at)) STORED,
  CHECK (started_at < ended_at)
);
CREATE INDEX erased_ranges_during ON erased_ranges USING gist (organization_id, user_id, during);
CREATE INDEX erased_ranges_pending ON erased_ranges (requested_at) WHERE applied_at IS NULL;
