import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type PoolClient, tablesWithoutTenantPolicy, tenantTransaction } from '@worktide/postgres';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';

let database: TestDatabase;
let workspace: Running;
let ada: Person;
let eve: Person;
/** Ada's. */
let ids: { project: string; team: string; task: string };

const made = async (as: Person, path: string, body: object): Promise<string> => {
  const answer = await workspace.call(as, 'POST', path, body);
  expect(answer.status).toBe(201);
  return answer.body.id;
};
async function fill(as: Person) {
  const project = await made(as, '/projects', { name: 'Secret', description: 'hush' });
  const team = await made(as, `/projects/${project}/teams`, { name: 'Secret' });
  await workspace.call(as, 'POST', `/teams/${team}/members`, { userId: as.userId });
  const task = await made(as, '/tasks', { projectId: project, title: 'Secret', assigneeId: as.userId });
  return { project, team, task };
}

beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
  ada = workspace.person('admin');
  eve = workspace.person('admin');
  ids = await fill(ada);
  await fill(eve);
});
afterAll(async () => {
  await workspace?.close();
  await database?.drop();
});

const tables = ['projects', 'teams', 'team_members', 'tasks'];
const asEve = <T>(fn: (client: PoolClient) => Promise<T>) => tenantTransaction(workspace.pool, eve.organizationId, fn);
const state = async () =>
  Promise.all(
    tables.map(async (table) => (await database.admin.query(`SELECT * FROM workspace.${table} ORDER BY 1, 2`)).rows),
  );

describe('the database itself keeps organisations apart', () => {
  test('every table that requests reach has a policy', async () => {
    expect(await tablesWithoutTenantPolicy(database.admin, 'workspace')).toEqual([]);
  });

  test.each(tables)('%s: a query that asks for no organisation sees one', async (table) => {
    const { rows } = await asEve((client) => client.query(`SELECT organization_id FROM workspace.${table}`));
    expect(rows).toEqual([{ organization_id: eve.organizationId }]);
    const named = await asEve((client) =>
      client.query(`SELECT 1 FROM workspace.${table} WHERE organization_id = $1`, [ada.organizationId]),
    );
    expect(named.rows).toEqual([]);
  });

  test.each(tables)('%s: what is another’s cannot be changed, removed, taken over or written', async (table) => {
    const before = await state();
    const set =
      table === 'team_members'
        ? 'added_at = now()'
        : "name = 'Eve'".replace('name', table === 'tasks' ? 'title' : 'name');
    const changed = await asEve((client) =>
      client.query(`UPDATE workspace.${table} SET ${set} WHERE organization_id = $1`, [ada.organizationId]),
    );
    const removed = await asEve((client) =>
      client.query(`DELETE FROM workspace.${table} WHERE organization_id = $1`, [ada.organizationId]),
    );
    expect([changed.rowCount, removed.rowCount]).toEqual([0, 0]);
    const refused = { code: '42501' };
    const given = asEve((client) =>
      client.query(`UPDATE workspace.${table} SET organization_id = $1`, [ada.organizationId]),
    );
    await expect(given).rejects.toMatchObject(refused);
    const inserts: Record<string, string> = {
      projects: `INSERT INTO workspace.projects (organization_id, id, name, name_key, status, created_by)
        VALUES ($1, gen_random_uuid(), 'x', 'x', 'active', $1)`,
      teams: `INSERT INTO workspace.teams (organization_id, id, project_id, name)
        VALUES ($1, gen_random_uuid(), '${ids.project}', 'x')`,
      team_members: `INSERT INTO workspace.team_members (organization_id, team_id, user_id) VALUES ($1, '${ids.team}', $1)`,
      tasks: `INSERT INTO workspace.tasks (organization_id, id, project_id, title, status, priority, creator_id, words)
        VALUES ($1, gen_random_uuid(), '${ids.project}', 'x', 'todo', 'low', $1, '')`,
    };
    const inserted = asEve((client) => client.query(inserts[table]!, [ada.organizationId]));
    await expect(inserted).rejects.toMatchObject(refused);
    expect(await state()).toEqual(before);
  });

  test('without an organisation there is nothing', async () => {
    const client = await workspace.pool.connect();
    try {
      for (const setting of ['', "SELECT set_config('worktide.organization_id', '', true);"]) {
        await client.query(`BEGIN; SET LOCAL ROLE worktide_workspace_tenant; ${setting}`);
        for (const table of tables) expect((await client.query(`SELECT 1 FROM workspace.${table}`)).rows).toEqual([]);
        const found = await client.query(`SELECT workspace.find_tasks($1::tsquery)`, ["'x' | !'x'"]);
        expect(found.rows).toEqual([]);
        await client.query('ROLLBACK');
      }
    } finally {
      client.release();
    }
  });

  test('searching, which the policy does not hold for, has its own', async () => {
    // Everything that is not a word nobody wrote, and the words behind Ada's own mark.
    for (const query of ["!'nothing'", `'${ada.organizationId.slice(-8)}secret'`]) {
      const { rows } = await asEve((client) =>
        client.query(`SELECT id FROM workspace.find_tasks($1::tsquery) AS f(id)`, [query]),
      );
      expect(rows.map(({ id }) => id)).not.toContain(ids.task);
    }
  });

  test('what waits in the outbox, of all organisations, cannot be read there', async () => {
    await expect(asEve((client) => client.query('SELECT events FROM workspace.outbox'))).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
      cause: { code: '42501' },
    });
  });
});

describe('another organisation’s objects are not there', () => {
  const body: Record<string, () => unknown> = {
    createTaskInProject: () => ({ title: 't' }),
    createTeam: () => ({ name: 't' }),
    changeProject: () => ({ name: 't' }),
    changeTeam: () => ({ name: 't' }),
    changeTask: () => ({ version: 1, title: 't' }),
    addTeamMember: () => ({ userId: eve.userId }),
  };

  test('on every route with an id: 404, in the same words as for one that is nowhere, and nothing is changed', async () => {
    const before = await state();
    const routes = workspace.routes.filter(({ path }) => path.includes('/:'));
    expect(routes.length).toBeGreaterThan(15);
    for (const { method, path, operationId } of routes) {
      const kind = path.split('/')[3]!.slice(0, -1) as keyof typeof ids;
      const ask = async (id: string) => {
        const real = path.replace('/api/v1', '').replace('/:id', `/${id}`).replace('/:userId', `/${ada.userId}`);
        const answer = await workspace.call(eve, method.toUpperCase(), real, body[operationId]?.());
        const { requestId: _, timestamp: __, path: ___, ...rest } = answer.body;
        return { operationId, ...rest };
      };
      const foreign = await ask(ids[kind]);
      expect(foreign).toMatchObject({ statusCode: 404, code: 'NOT_FOUND' });
      expect(foreign).toEqual(await ask(randomUUID()));
    }
    expect(await state()).toEqual(before);
  });

  test('lists, searches and counts hold none of them', async () => {
    for (const path of [
      '/projects',
      '/projects/active',
      '/tasks',
      '/tasks?search=secret',
      `/tasks?assigneeId=${ada.userId}`,
    ]) {
      const { status, body: answer } = await workspace.call(eve, 'GET', path);
      expect(status).toBe(200);
      for (const value of [...Object.values(ids), ada.userId]) expect(JSON.stringify(answer)).not.toContain(value);
    }
    expect((await workspace.call(eve, 'GET', `/tasks?projectId=${ids.project}`)).body.items).toEqual([]);
    expect((await workspace.call(eve, 'GET', '/tasks/stats')).body.total).toBe(1);
  });

  test('nobody without a credential', async () => {
    for (const { method, path } of workspace.routes) {
      const real = path
        .replace('/api/v1', '')
        .replace('/:id', `/${randomUUID()}`)
        .replace('/:userId', `/${randomUUID()}`);
      expect((await workspace.call(undefined, method.toUpperCase(), real)).status).toBe(401);
    }
  });
});
