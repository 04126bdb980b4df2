-- Time entries: what people say that they worked, as opposed to usage, which is what their devices saw. Few rows a person and
-- day, kept for longer than usage: not partitioned.

-- Epoch milliseconds, in which the rest of the system counts.
CREATE FUNCTION epoch_ms(at timestamptz) RETURNS bigint
  LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (extract(epoch FROM at) * 1000)::bigint;
CREATE TABLE time_entries (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('timer', 'manual', 'offline', 'imported')),
  -- [start, end), without an end while it is open.
  span tstzrange NOT NULL CHECK (NOT isempty(span) AND NOT lower_inf(span)),
  -- Its ends, for look-ups as a tenant: under row-level security an index is used for operators alone that leak nothing of
  -- what they see, and neither && nor lower() is one of them. A list would look at all that its person ever had.
  starts_at timestamptz NOT NULL GENERATED ALWAYS AS (lower(span)) STORED,
  ends_at timestamptz GENERATED ALWAYS AS (upper(span)) STORED,
  -- Within the span; the last one has no end while it is paused. Worked is the span without them.
  pauses tstzmultirange NOT NULL CHECK (pauses <@ span),
  project_id uuid,
  task_id uuid,
  description text,
  tags text[] NOT NULL,
  billable boolean NOT NULL,
  timezone text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  -- 1, and one more with each change.
  version bigint NOT NULL,
  PRIMARY KEY (organization_id, id),
  -- Ends are exclusive: touching is not overlapping.
  CONSTRAINT time_entries_no_overlap EXCLUDE USING gist (organization_id WITH =, user_id WITH =, span WITH &&)
    WHERE (deleted_at IS NULL)
);
CREATE UNIQUE INDEX time_entries_open ON time_entries (organization_id, user_id)
  WHERE upper_inf(span) AND deleted_at IS NULL;
CREATE INDEX time_entries_start ON time_entries (organization_id, user_id, starts_at, id) WHERE deleted_at IS NULL;
-- For alerts, which look at all that is open and at what changed lately.
CREATE INDEX time_entries_changed ON time_entries (updated_at);

-- Every change of every entry, for ever.
CREATE TABLE time_entry_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  entry_id uuid NOT NULL,
  at timestamptz NOT NULL,
  -- NULL: the system.
  actor_id uuid,
  action text NOT NULL,
  before jsonb,
  after jsonb,
  reason text,
  request_id text
);
CREATE INDEX time_entry_changes_entry ON time_entry_changes (organization_id, entry_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- What is stored of an organisation that is deleted goes as a whole, what its retention lets go of with its entry, and
  -- nothing in any other way.
  IF TG_OP = 'DELETE' AND OLD.organization_id::text IN (
    current_setting('worktide.deleted_organization', true), current_setting('worktide.retention_of', true)
  ) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'time_entry_changes is never changed';
END $$;
CREATE TRIGGER time_entry_changes_stay BEFORE UPDATE OR DELETE ON time_entry_changes
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER time_entry_changes_stay_all BEFORE TRUNCATE ON time_entry_changes
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a POST with an Idempotency-Key has made, for some days.
CREATE TABLE timer_requests (
  organization_id uuid NOT NULL,
  -- Who asked.
  actor_id uuid NOT NULL,
  key text NOT NULL,
  -- SHA-256 of what was asked.
  request_hash bytea NOT NULL,
  entry_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (organization_id, actor_id, key)
);
CREATE INDEX timer_requests_created_at ON timer_requests (created_at);

-- Projects and tasks as topic workspace-events tells of them; the newest version of each.
CREATE TABLE known_projects (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  version bigint NOT NULL,
  status text NOT NULL,
  deleted boolean NOT NULL,
  PRIMARY KEY (organization_id, id)
);
CREATE TABLE known_tasks (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  version bigint NOT NULL,
  project_id uuid NOT NULL,
  deleted boolean NOT NULL,
  PRIMARY KEY (organization_id, id)
);

-- Clicks and movements of a minute: of all that was said the greater of each.
CREATE TABLE input_minutes (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  device_id text COLLATE "C" NOT NULL,
  minute timestamptz NOT NULL,
  keyboard_clicks integer NOT NULL,
  mouse_movements integer NOT NULL,
  PRIMARY KEY (organization_id, user_id, device_id, minute)
);

-- What has become of the entries of one record of topic time-entry-syncs, for a week.
CREATE TABLE sync_batch_parts (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  batch_id uuid NOT NULL,
  part integer NOT NULL,
  parts integer NOT NULL,
  outcome jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (organization_id, user_id, batch_id, part)
);
CREATE INDEX sync_batch_parts_created_at ON sync_batch_parts (created_at);

CREATE TABLE alerts (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  type text NOT NULL CHECK (type IN ('idle', 'overtime')),
  -- Of the person's own zone.
  date date NOT NULL,
  time_entry_id uuid,
  -- When the time without activity began.
  idle_from timestamptz,
  message text NOT NULL,
  created_at timestamptz NOT NULL,
  resolved_at timestamptz,
  -- NULL: by itself.
  resolved_by uuid,
  version bigint NOT NULL,
  PRIMARY KEY (organization_id, id),
  CHECK ((type = 'idle') = (idle_from IS NOT NULL) AND (type <> 'idle' OR time_entry_id IS NOT NULL))
);
-- Once, whoever looks and however often.
CREATE UNIQUE INDEX alerts_idle ON alerts (organization_id, time_entry_id, idle_from) WHERE type = 'idle';
CREATE UNIQUE INDEX alerts_overtime ON alerts (organization_id, user_id, date) WHERE type = 'overtime';
CREATE INDEX alerts_newest ON alerts (organization_id, created_at, id);
CREATE INDEX alerts_of_user ON alerts (organization_id, user_id, created_at, id);
CREATE INDEX alerts_open ON alerts (type, created_at) WHERE resolved_at IS NULL;

ALTER TABLE time_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON time_entries
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE time_entry_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON time_entry_changes
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE timer_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON timer_requests
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE known_projects ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON known_projects
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE known_tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON known_tasks
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE input_minutes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON input_minutes
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE sync_batch_parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sync_batch_parts
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE alerts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON alerts
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));

GRANT SELECT, INSERT, UPDATE ON time_entries TO worktide_session_writer_tenant;
GRANT SELECT, INSERT ON time_entry_changes, timer_requests TO worktide_session_writer_tenant;
GRANT SELECT ON known_projects, known_tasks, sync_batch_parts TO worktide_session_writer_tenant;
GRANT SELECT ON alerts TO worktide_session_writer_tenant;
GRANT UPDATE (resolved_at, resolved_by, version) ON alerts TO worktide_session_writer_tenant;
-- The outbox has no tenant: it is written within tenants' transactions, and its events are not to be read there.
GRANT INSERT, DELETE, SELECT (id), UPDATE (due_at) ON outbox TO worktide_session_writer_tenant;

-- What usage of one user covers of some pieces of time, which for each entry are disjoint: all of it, and what is active, each
-- as long as its union, since devices ran side by side. As a tenant each row of usage would be looked up in its stream
-- once more, twice the work; so this runs as the owner, and takes the organisation from where the policy takes it.
-- Of each stream and month those that begin within a piece are read, and the last one before, which alone may reach into it.
CREATE FUNCTION usage_within(whose uuid, entries int[], months date[], starts bigint[], ends bigint[])
RETURNS TABLE (entry int, active_ms bigint, covered_ms bigint, last_activity_at bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = tracking, pg_temp
-- Kept planned: planning it for two years of months takes five times as long as looking up what a timer needs.
SET plan_cache_mode = force_generic_plan
-- As store/plans.ts has it: look-ups by index, whatever the planner thinks of a young table.
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
  WITH pieces AS (
    SELECT * FROM unnest(entries, months, starts, ends) AS p(entry, month, start_at, end_at)
  ), watchers AS MATERIALIZED (
    SELECT s.id, m.month FROM streams s CROSS JOIN (SELECT DISTINCT month FROM pieces) m
    -- Of thousands of devices few were there in a month. LIMIT: of EXISTS the planner makes a reading of the whole table.
    CROSS JOIN LATERAL (
      SELECT FROM usage_entries WHERE month = m.month AND stream_id = s.id ORDER BY started_at LIMIT 1
    ) any_of_month
    WHERE s.organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid)
      AND s.user_id = whose
  ), used AS (
    SELECT p.entry, u.state = 'active' AS is_active,
      greatest(u.started_at, p.start_at) AS started_at, least(u.ended_at, p.end_at) AS ended_at
    FROM pieces p JOIN watchers w USING (month) CROSS JOIN LATERAL (
      (SELECT started_at, ended_at, state FROM usage_entries
       WHERE month = p.month AND stream_id = w.id AND started_at < p.start_at ORDER BY started_at DESC LIMIT 1)
      UNION ALL
      SELECT started_at, ended_at, state FROM usage_entries
      WHERE month = p.month AND stream_id = w.id AND started_at >= p.start_at AND started_at < p.end_at
    ) u
    WHERE u.ended_at > p.start_at
  ), reached AS (
    SELECT *, max(ended_at) OVER earlier AS covered_until, max(ended_at) FILTER (WHERE is_active) OVER earlier AS active_until
    FROM used
    WINDOW earlier AS (PARTITION BY entry ORDER BY started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  )
  -- Each adds what lies beyond all that began before it.
  SELECT entry,
    coalesce(sum(greatest(0, ended_at - greatest(started_at, active_until))) FILTER (WHERE is_active), 0)::bigint,
    sum(greatest(0, ended_at - greatest(started_at, covered_until)))::bigint,
    max(ended_at) FILTER (WHERE is_active)
  FROM reached GROUP BY entry
$$;
REVOKE ALL ON FUNCTION usage_within FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_within TO worktide_session_writer_tenant;
