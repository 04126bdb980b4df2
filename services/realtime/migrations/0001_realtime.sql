-- Who there is, as topic `people` tells. organization_id stands first in every key, and a second wall behind every query:
-- requests run as the role worktide_realtime_tenant, which the policies below show one organisation.

CREATE TABLE people (
  organization_id uuid NOT NULL,
  user_id uuid NOT NULL,
  -- Null of somebody whom only their activity has told of.
  name text,
  role text CHECK (role IN ('admin', 'manager', 'employee')),
  status text CHECK (status IN ('active', 'inactive', 'suspended')),
  timezone text,
  deleted boolean NOT NULL DEFAULT false,
  -- Of the state; 0 of somebody whom none has told of.
  version bigint NOT NULL,
  -- Behind what key-value knows by a minute at most, and here when that was emptied.
  last_seen_at timestamptz,
  PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX people_managers ON people (organization_id, user_id)
  WHERE role IN ('admin', 'manager') AND status = 'active' AND NOT deleted;

-- Organisations of which nothing is to be stored any more.
CREATE TABLE deleted_organizations (
  organization_id uuid PRIMARY KEY,
  told_at timestamptz NOT NULL DEFAULT now(),
  erased_at timestamptz
);

-- The parentheses make it one value for the whole query, not one for every row.
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON people
  USING (organization_id = (SELECT nullif(current_setting('worktide.organization_id', true), '')::uuid));
GRANT SELECT ON people TO worktide_realtime_tenant;

-- The outbox has no tenant: it is written within tenants' transactions, and its events are not to be read there.
GRANT INSERT, DELETE, SELECT (id), UPDATE (due_at) ON outbox TO worktide_realtime_tenant;
