import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { tenantTransaction } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import type { TaskFilters } from '@worktide/schemas';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';
import { type Statement, taskPageStatement, taskStatsStatement } from './list.ts';
import { taskWords } from './words.ts';

let database: TestDatabase;
let workspace: Running;
const all = { onlyOf: null };
beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
});
afterAll(async () => {
  await workspace?.close();
  await database?.drop();
});

describe('with many tenants', () => {
  const tenants = 200;
  const tasksOfEach = 100;
  const big = 20_000;
  let one: Person;
  let giant: Person;
  /** Who gave three tasks of each organisation to others, and has three of others. */
  const newcomer = uuidv7();
  const projectOf = new Map<string, string>();

  beforeAll(async () => {
    one = workspace.person('employee');
    giant = workspace.person('employee');
    const organizations = [one.organizationId, ...Array.from({ length: tenants - 1 }, () => uuidv7())];
    const fill = async (ids: string[], each: number) => {
      const projects = ids.map(() => uuidv7());
      projectOf.set(ids[0]!, projects[0]!);
      await database.admin.query(
        `INSERT INTO workspace.projects (organization_id, id, name, name_key, status, created_by)
         SELECT o, p, 'P', 'p', 'active', o FROM unnest($1::uuid[], $2::uuid[]) AS t (o, p)`,
        [ids, projects],
      );
      // Words as taskWords makes them.
      expect(taskWords(ids[0]!, 'Word1', null)).toEqual([`${ids[0]!.slice(-8)}word1`]);
      await database.admin.query(
        `INSERT INTO workspace.tasks
           (organization_id, id, project_id, title, status, priority, assignee_id, creator_id, words)
         SELECT o, gen_random_uuid(), p, 'word' || n, (ARRAY['todo', 'in_progress'])[1 + n % 2], 'low',
           CASE WHEN n BETWEEN 11 AND 13 THEN $4 ELSE md5((n % 20)::text)::uuid END,
           CASE WHEN n BETWEEN 14 AND 16 THEN $4 ELSE md5((n % 20)::text)::uuid END,
           array_to_tsvector(ARRAY[right(o::text, 8) || 'word' || n, right(o::text, 8) || 'all'])
         FROM unnest($1::uuid[], $2::uuid[]) AS t (o, p), generate_series(1, $3) n`,
        [ids, projects, each, newcomer],
      );
    };
    await fill(organizations, tasksOfEach);
    await fill([giant.organizationId], big);
    await database.admin.query('VACUUM ANALYZE workspace.tasks, workspace.projects');
  });

  interface Scan {
    name: string;
    scans: number;
    tuples: number;
  }

  /** Scans of the table and of its indexes that a query makes, as the tenant; and how many rows it gave. */
  async function scansOf(as: Person, { text, values }: Statement): Promise<{ scans: Scan[]; rows: number }> {
    return tenantTransaction(workspace.pool, as.organizationId, async (client) => {
      const counted = async () => (await client.query<Scan>(scanCounts)).rows;
      // This connection's earlier work may still be in the counts.
      const before = await counted();
      const { rows } = await client.query(text, values);
      const scans = (await counted()).map(({ name, scans, tuples }, i) => ({
        name,
        scans: scans - before[i]!.scans,
        tuples: tuples - before[i]!.tuples,
      }));
      return { scans: scans.filter((scan) => scan.scans > 0), rows: rows.length };
    });
  }
  const scanCounts = `
    SELECT c.relname AS name, pg_stat_get_xact_numscans(c.oid) AS scans,
      pg_stat_get_xact_tuples_returned(c.oid) AS tuples
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'workspace' AND c.relname LIKE 'tasks%' ORDER BY c.relname`;
  const tuplesOf = (scans: Scan[]): number => scans.reduce((sum, { tuples }) => sum + tuples, 0);

  test.each<[string, TaskFilters]>([
    ['everything', {}],
    ['a status', { status: 'todo' }],
    ['an assignee', { assigneeId: '00000000-0000-4000-8000-000000000001' }],
    ['a creator', { creatorId: '00000000-0000-4000-8000-000000000001' }],
    ['a project', { projectId: 'its own' }],
    ['a priority and a status', { priority: 'high', status: 'done' }],
    ['a word', { search: 'word77' }],
    ['the beginning of every word', { search: 'w' }],
    ['a word and a status', { search: 'word7', status: 'todo' }],
  ])('%s is found by an index, first page, later page and stats', async (_name, asked) => {
    for (const as of [one, giant]) {
      const { organizationId } = as;
      const filters = asked.projectId ? { projectId: projectOf.get(organizationId) } : asked;
      const statements = [
        taskPageStatement(organizationId, all, filters, { before: null, limit: 101 })!,
        taskPageStatement(organizationId, all, filters, { before: uuidv7(), limit: 101 })!,
        // Counting half of the table may well read it from end to end.
        ...(as === giant ? [] : [taskStatsStatement(organizationId, all, filters, '2026-11-21')!]),
      ];
      for (const statement of statements) {
        const { scans } = await scansOf(as, statement);
        expect(scans.map(({ name }) => name)).not.toContain('tasks');
        expect(scans.length).toBeGreaterThan(0);
        // No more than the tenant's own tasks, a few times: nothing of others is looked at.
        expect(tuplesOf(scans)).toBeLessThanOrEqual(3 * (as === giant ? big : tasksOfEach));
      }
    }
  });

  test('what is one’s own is found by who made it and whom it is assigned to', async () => {
    const { organizationId } = giant;
    const sight = { onlyOf: newcomer };
    for (const [statement, expected] of [
      [taskPageStatement(organizationId, sight, {}, { before: null, limit: 101 })!, 6],
      [taskPageStatement(organizationId, sight, { status: 'todo' }, { before: null, limit: 101 })!, 3],
      [taskStatsStatement(organizationId, sight, {}, '2026-11-21')!, 1],
    ] as const) {
      const { scans, rows } = await scansOf(giant, statement);
      expect(rows).toBe(expected);
      expect(scans.map(({ name }) => name)).not.toContain('tasks');
      expect(tuplesOf(scans)).toBeLessThan(100);
    }
  });

  test('a page of many costs a page', async () => {
    const { organizationId } = giant;
    const statement = taskPageStatement(organizationId, all, {}, { before: null, limit: 101 })!;
    const { scans, rows: given } = await scansOf(giant, statement);
    expect(given).toBe(101);
    expect(tuplesOf(scans)).toBeLessThan(1_000);
    const plan = await tenantTransaction(workspace.pool, organizationId, async (client) => {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${statement.text}`, statement.values);
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    });
    expect(plan).toMatch(/Index Scan Backward using tasks_(live|pkey)/);
    expect(plan).not.toMatch(/Seq Scan on tasks/);
  });

  test('a rare word among many tasks is found by the index of words, which has each tenant’s beside each other', async () => {
    for (const search of ['word777 ', 'word777']) {
      const statement = taskPageStatement(giant.organizationId, all, { search }, { before: null, limit: 101 })!;
      const { scans, rows } = await scansOf(giant, statement);
      const found = search.endsWith(' ') ? 1 : 11;
      expect(rows).toBe(found);
      const words = scans.find(({ name }) => name === 'tasks_words');
      expect(words).toMatchObject({ scans: 1 });
      expect(words!.tuples).toBe(found);
    }
  });
});
