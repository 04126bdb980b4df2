-- Who is there, and as what, goes to topic `people`. What changes of it is marked in the row, whoever changes it, and told
-- from there: so nothing that is committed goes untold, and what was there before this is told, too.
ALTER TABLE users ADD COLUMN told boolean NOT NULL DEFAULT false;
ALTER TABLE organizations ADD COLUMN told boolean NOT NULL DEFAULT false;
CREATE INDEX users_untold ON users (organization_id, id) WHERE NOT told;
CREATE INDEX organizations_untold ON organizations (id) WHERE NOT told;

-- Of what is told, so that the newest is known; drawn while the row is locked.
CREATE SEQUENCE people_versions;

CREATE FUNCTION mark_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF ROW(NEW.name, NEW.role, NEW.status, NEW.timezone, NEW.deleted_at, NEW.verified_at)
    IS DISTINCT FROM ROW(OLD.name, OLD.role, OLD.status, OLD.timezone, OLD.deleted_at, OLD.verified_at) THEN
    NEW.told := false;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER users_mark BEFORE UPDATE OF name, role, status, timezone, deleted_at, verified_at ON users
  FOR EACH ROW EXECUTE FUNCTION mark_user();

CREATE FUNCTION mark_organization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF ROW(NEW.name, NEW.timezone, NEW.subscription_status)
    IS DISTINCT FROM ROW(OLD.name, OLD.timezone, OLD.subscription_status) THEN
    NEW.told := false;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER organizations_mark BEFORE UPDATE OF name, timezone, subscription_status ON organizations
  FOR EACH ROW EXECUTE FUNCTION mark_organization();
