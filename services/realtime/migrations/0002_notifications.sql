-- What people are told of, a row for each receiver; its id is derived from the receiver and what happened, so that a
-- topic read again tells nobody twice.
CREATE TABLE notifications (
  organization_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  type text NOT NULL,
  title text NOT NULL,
  body text NOT NULL,
  link text NOT NULL,
  -- Milliseconds, as cursors of lists have them.
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
  read_at timestamptz,
  PRIMARY KEY (organization_id, id)
);
CREATE INDEX notifications_own ON notifications (organization_id, user_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (organization_id, user_id) WHERE read_at IS NULL;
CREATE INDEX notifications_age ON notifications (created_at);

CREATE TABLE notification_settings (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  digest text NOT NULL CHECK (digest IN ('off', 'daily')),
  -- The last local day on which its mail was judged, and up to when it told.
  digest_day date,
  digest_until timestamptz,
  -- Whoever gathers one has it until then.
  digest_lease timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX notification_settings_daily ON notification_settings (organization_id, user_id) WHERE digest = 'daily';

-- Who leads whom, as topic workspace-events tells.
CREATE TABLE known_teams (
  organization_id uuid NOT NULL,
  team_id uuid NOT NULL,
  member_ids uuid[] NOT NULL,
  lead_ids uuid[] NOT NULL,
  project_id uuid,
  deleted boolean NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (organization_id, team_id)
);
CREATE INDEX known_teams_members ON known_teams USING gin (member_ids) WHERE NOT deleted;

-- Tasks and their projects, as topic workspace-events tells: for those that are due tomorrow.
CREATE TABLE known_tasks (
  organization_id uuid NOT NULL,
  task_id uuid NOT NULL,
  project_id uuid NOT NULL,
  title text NOT NULL,
  assignee_id uuid,
  -- A day or an instant, as it was given.
  due_day date,
  due_at timestamptz,
  -- Neither done nor deleted.
  is_open boolean NOT NULL,
  version bigint NOT NULL,
  told_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, task_id)
);
CREATE INDEX known_tasks_day ON known_tasks (due_day) WHERE is_open AND due_day IS NOT NULL;
CREATE INDEX known_tasks_instant ON known_tasks (due_at) WHERE is_open AND due_at IS NOT NULL;
CREATE INDEX known_tasks_told ON known_tasks (told_at);

CREATE TABLE known_projects (
  organization_id uuid NOT NULL,
  project_id uuid NOT NULL,
  deleted boolean NOT NULL,
  version bigint NOT NULL,
  PRIMARY KEY (organization_id, project_id)
);

ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_settings ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notifications
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
CREATE POLICY tenant ON notification_settings
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT, UPDATE (read_at) ON notifications TO worktide_realtime_tenant;
GRANT SELECT, INSERT, UPDATE ON notification_settings TO worktide_realtime_tenant;
