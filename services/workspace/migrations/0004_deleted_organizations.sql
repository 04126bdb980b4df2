-- Organisations of which nothing is to be stored any more.
CREATE TABLE deleted_organizations (
  organization_id uuid PRIMARY KEY,
  told_at timestamptz NOT NULL DEFAULT now(),
  erased_at timestamptz
);
