-- Exports: one row for each, from its request to its expiry; the file lies in the object store (src/exports/keys.ts).
-- organization_id stands first in every key, and requests run as the role worktide_analytics_tenant, which the policy below
-- shows one organisation.

CREATE TABLE exports (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  -- Who asked for it, and alone has it.
  user_id uuid NOT NULL,
  report text NOT NULL,
  format text NOT NULL,
  file_name text NOT NULL,
  -- What it is of, all decided: whose rows, which days, which zone (src/exports/asked.ts). json, which keeps any text.
  asked json NOT NULL,

  status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'ready', 'failed', 'cancelled')),
  progress real NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
  rows bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  -- Of a failure for good, or the last one of a job that is tried again.
  failure_code text,
  failure_message text,
  -- Which of the objects that tries have stored is the file; each try has a key of its own.
  file_key text,

  -- Tries begun, but for those that ended through no fault of the export: an engine away, a shutdown.
  attempts integer NOT NULL DEFAULT 0,
  -- How often it was put back because something was away.
  postponed integer NOT NULL DEFAULT 0,
  -- When there is something to be done: of a queued job its next try, of a running one the end of its lease.
  due_at timestamptz DEFAULT now(),
  -- Of whoever works on it until due_at. Who finds another one here, or none, has lost the job.
  lease uuid,

  -- Milliseconds, as cursors of lists have them.
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  expires_at timestamptz NOT NULL,

  PRIMARY KEY (organization_id, id),
  CHECK ((status IN ('queued', 'running')) = (due_at IS NOT NULL)),
  CHECK ((status = 'running') = (lease IS NOT NULL)),
  CHECK ((status = 'ready') = (file_key IS NOT NULL)),
  CHECK (status <> 'failed' OR failure_code IS NOT NULL)
);
CREATE INDEX exports_due ON exports (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX exports_expiring ON exports (expires_at);
CREATE INDEX exports_own ON exports (organization_id, user_id, created_at, id);

-- The parentheses make it one value for the whole query, not one for every row.
ALTER TABLE exports ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON exports
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON exports TO worktide_analytics_tenant;

-- When an organisation's export was begun last: the next is of whose turn was longest ago, also where rows were deleted.
CREATE TABLE export_turns (
  organization_id uuid PRIMARY KEY,
  begun_at timestamptz NOT NULL
);
