-- Imports of history: one row for each, from its upload on for as long as it can be taken out again (src/imports). The file lies in the
-- object store until all of it is on the log. Organisation first, and policies, as for buckets.
CREATE TABLE imports (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  -- Who imports.
  user_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('activitywatch', 'wakatime', 'toggl', 'clockify')),
  file_name text,
  bytes bigint NOT NULL,
  -- Null where nothing is left of it.
  file_key text,
  -- Of the times in the file, and of whoever imports.
  timezone text NOT NULL,
  date_order text CHECK (date_order IN ('ymd', 'dmy', 'mdy')),
  -- An administrator: may import for people of the organisation.
  for_others boolean NOT NULL,
  -- The last pause of whoever imports, epoch ms: what lies in it is not kept.
  paused_from bigint,
  paused_until bigint,

  status text NOT NULL DEFAULT 'reading'
    CHECK (status IN ('reading', 'ready', 'queued', 'running', 'done', 'failed')),
  -- Of what is being done, 0–1.
  progress real NOT NULL DEFAULT 0,
  -- What people are shown of it, and what importing it goes by; json, which keeps any text.
  preview json,
  plan json,
  -- Rows of the file whose pieces are on their way, in the same transaction as these.
  position bigint NOT NULL DEFAULT 0,
  added bigint NOT NULL DEFAULT 0,
  already_there bigint NOT NULL DEFAULT 0,
  refused bigint NOT NULL DEFAULT 0,
  problems json NOT NULL DEFAULT '[]',
  -- What became of its time entries, as the writer tells.
  conflicts json NOT NULL DEFAULT '[]',
  -- Parts with time entries, of which outcomes are to come.
  parts integer NOT NULL DEFAULT 0,
  all_sent boolean NOT NULL DEFAULT false,
  failure_code text,
  failure_message text,

  -- Tries since it last got on.
  attempts integer NOT NULL DEFAULT 0,
  postponed integer NOT NULL DEFAULT 0,
  -- When there is something to be done; of one in work the end of its lease.
  due_at timestamptz DEFAULT now(),
  lease uuid,

  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now()),
  started_at timestamptz,
  finished_at timestamptz,
  -- Of one that was not started.
  expires_at timestamptz,
  -- Taken out again.
  removed_at timestamptz,

  PRIMARY KEY (organization_id, id),
  CHECK (lease IS NULL OR due_at IS NOT NULL),
  CHECK (status <> 'failed' OR failure_code IS NOT NULL)
);
CREATE INDEX imports_due ON imports (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX imports_expiring ON imports (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX imports_removed ON imports (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX imports_newest ON imports (organization_id, created_at, id) WHERE removed_at IS NULL;
-- Two of one person at once would not see what the other brings.
CREATE UNIQUE INDEX imports_running ON imports (organization_id, user_id)
  WHERE status IN ('queued', 'running') AND removed_at IS NULL;

-- What imports have brought, by content: eight bytes for each row of a file. What stands here is not brought again.
CREATE TABLE imported_content (
  organization_id uuid NOT NULL,
  -- Whose time it is.
  user_id uuid NOT NULL,
  -- Of a kind of import: device and source; or the entries.
  stream text COLLATE "C" NOT NULL,
  -- Days since 1970, UTC, on which it begins.
  day integer NOT NULL,
  import_id uuid NOT NULL,
  -- The row of the file that this piece of it begins behind.
  position bigint NOT NULL,
  hashes bytea NOT NULL,
  -- Of entries, in which part they went: what was a conflict there is taken out again, for it was not brought. Else -1.
  part integer NOT NULL,
  PRIMARY KEY (organization_id, user_id, stream, day, import_id, position, part)
);
CREATE INDEX imported_content_import ON imported_content (organization_id, import_id);

-- What has become of the parts of time entries.
CREATE TABLE import_outcomes (
  organization_id uuid NOT NULL,
  import_id uuid NOT NULL,
  part integer NOT NULL,
  PRIMARY KEY (organization_id, import_id, part)
);

-- When an organisation's import was begun last: the next is of whose turn was longest ago.
CREATE TABLE import_turns (
  organization_id uuid PRIMARY KEY,
  begun_at timestamptz NOT NULL
);

ALTER TABLE imports ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON imports
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE imported_content ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON imported_content
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
ALTER TABLE import_outcomes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON import_outcomes
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON imports TO worktide_agent_protocols_tenant;
GRANT SELECT, INSERT, UPDATE ON imported_content TO worktide_agent_protocols_tenant;
GRANT SELECT, INSERT ON import_outcomes TO worktide_agent_protocols_tenant;
