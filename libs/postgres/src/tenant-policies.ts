import type { Queryable } from './pool.ts';

/**
 * For tests: relations of a schema on which a `_tenant` role (see `migrate`) may do more than row-level security holds
 * it to. A relation is right when every privilege is one that policies govern (SELECT, INSERT, UPDATE, DELETE), row
 * security is on, and every permissive policy asks for `worktide.organization_id`; a view, which reads as its owner,
 * when it is `security_invoker`. `outbox` is let pass: its rows are packed events of all tenants, which a transaction
 * writes and deletes by id.
 * @param client sees the whole catalogue: any role does.
 * @returns `table: what is wrong`, sorted; empty when all is well.
 * @throws Error where the schema's tenant role does not exist or no relation is granted to it: then nothing was checked.
 */
export async function tablesWithoutTenantPolicy(client: Queryable, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string; problem: string | null }>(granted, [schema]);
  if (rows.length === 0) throw new Error(`no tenant role has a privilege in schema ${schema}`);
  return rows.flatMap(({ name, problem }) => (problem === null ? [] : [`${name}: ${problem}`])).sort();
}

const granted = `
  WITH tenants AS (
    SELECT oid FROM pg_roles WHERE rolname LIKE '%\\_tenant' AND NOT rolsuper
  ), relations AS (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.reloptions,
      bool_or(has_table_privilege(t.oid, c.oid, 'TRUNCATE, TRIGGER, REFERENCES')
        OR has_any_column_privilege(t.oid, c.oid, 'REFERENCES')) AS ungoverned,
      bool_or(pg_has_role(t.oid, c.relowner, 'USAGE')) AS owned
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN tenants t
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> 'outbox'
      AND (has_table_privilege(t.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
        OR has_any_column_privilege(t.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
    GROUP BY c.oid
  )
  SELECT relname AS name, CASE
    WHEN owned THEN 'the tenant role owns it'
    WHEN ungoverned THEN 'a privilege that no policy governs'
    WHEN relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY(reloptions), false) THEN 'a view that reads as its owner'
    WHEN relkind = 'v' THEN NULL
    WHEN relkind NOT IN ('r', 'p') THEN 'not a table: it knows no policies'
    WHEN NOT relrowsecurity THEN 'no row security'
    WHEN NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = r.oid AND p.polpermissive) THEN 'no policy'
    WHEN EXISTS (
      SELECT FROM pg_policy p,
        LATERAL (VALUES (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))) AS e (text)
      WHERE p.polrelid = r.oid AND p.polpermissive AND strpos(e.text, 'worktide.organization_id') = 0
    ) THEN 'a policy that does not ask for the organisation'
  END AS problem
  FROM relations r`;
