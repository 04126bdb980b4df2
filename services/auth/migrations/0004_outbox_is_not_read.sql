-- The outbox has no tenant: it is written within tenants' transactions, and its events are not to be read there.
REVOKE ALL ON outbox FROM worktide_auth_tenant;
GRANT INSERT, DELETE, SELECT (id), UPDATE (due_at) ON outbox TO worktide_auth_tenant;
