-- A lead reads what concerns the members of their teams.
ALTER TABLE team_members ADD COLUMN role text NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'lead'));
CREATE INDEX team_members_lead ON team_members (organization_id, user_id) WHERE role = 'lead';

-- A team of no project is a department. Its list goes by id.
ALTER TABLE teams ALTER COLUMN project_id DROP NOT NULL;
CREATE INDEX teams_live ON teams (organization_id, id) WHERE deleted_at IS NULL;
