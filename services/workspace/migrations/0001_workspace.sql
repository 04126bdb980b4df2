-- Projects, the teams and tasks in them. organization_id stands first in every key, and a second wall behind every
-- query: requests run as the role worktide_workspace_tenant, which the policies below show one organisation.

CREATE TABLE projects (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  -- The name as names are compared; see nameKey.
  name_key text NOT NULL,
  description text,
  status text NOT NULL CHECK (status IN ('active', 'on_hold', 'completed', 'archived')),
  created_by uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX projects_live_name ON projects (organization_id, name_key) WHERE deleted_at IS NULL;
CREATE INDEX projects_live_status ON projects (organization_id, status, id) WHERE deleted_at IS NULL;

CREATE TABLE teams (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  project_id uuid NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects
);
CREATE INDEX teams_live_project ON teams (organization_id, project_id, id) WHERE deleted_at IS NULL;

-- Whose ids these are only auth knows; a user who left stays a member, and is somebody that auth no longer shows.
CREATE TABLE team_members (
  organization_id uuid NOT NULL,
  team_id uuid NOT NULL,
  user_id uuid NOT NULL,
  added_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, team_id, user_id),
  FOREIGN KEY (organization_id, team_id) REFERENCES teams
);

-- A task is there while its deleted_at is null and its project is there: deleting a project touches one row.
CREATE TABLE tasks (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  project_id uuid NOT NULL,
  title text NOT NULL,
  description text,
  status text NOT NULL CHECK (status IN ('todo', 'in_progress', 'done')),
  priority text NOT NULL CHECK (priority IN ('low', 'medium', 'high')),
  assignee_id uuid,
  creator_id uuid NOT NULL,
  -- A day or an instant, as it was given.
  due_day date,
  due_at timestamptz,
  completed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  -- Words of title and description, each behind a mark of its organisation; see tasks/words.ts.
  words tsvector NOT NULL,
  PRIMARY KEY (organization_id, id),
  FOREIGN KEY (organization_id, project_id) REFERENCES projects,
  CHECK (due_day IS NULL OR due_at IS NULL),
  CHECK ((status = 'done') = (completed_at IS NOT NULL))
);
CREATE INDEX tasks_live ON tasks (organization_id, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_live_project ON tasks (organization_id, project_id, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_live_assignee ON tasks (organization_id, assignee_id, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_live_creator ON tasks (organization_id, creator_id, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_live_status ON tasks (organization_id, status, id) WHERE deleted_at IS NULL;
CREATE INDEX tasks_words ON tasks USING gin (words) WHERE deleted_at IS NULL;

-- The parentheses make it one value for the whole query, not one for every row.
ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
ALTER TABLE team_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON projects
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON teams
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON team_members
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON tasks
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON projects, teams, team_members, tasks TO worktide_workspace_tenant;

-- The outbox has no tenant: it is written within tenants' transactions, and its events are not to be read there.
GRANT INSERT, DELETE, SELECT (id), UPDATE (due_at) ON outbox TO worktide_workspace_tenant;

-- Under row-level security an index is not used for operators that might leak what they see, and @@ is one of them. So
-- this runs as the owner, free of the policy, and takes the organisation from where the policy takes it.
CREATE FUNCTION find_tasks(query tsquery) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
SET search_path = workspace, pg_temp
AS $$
  SELECT id FROM tasks
  WHERE organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid)
    AND words @@ query AND deleted_at IS NULL
$$;
REVOKE ALL ON FUNCTION find_tasks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_tasks TO worktide_workspace_tenant;
