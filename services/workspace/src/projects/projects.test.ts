import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import {
  allPages,
  type Person,
  type Running,
  startWorkspace,
  type TestDatabase,
  workspaceDatabase,
} from '../testing.ts';
import { maxProjects } from './projects.ts';

let database: TestDatabase;
let workspace: Running;
let manager: Person;
beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
});
afterAll(async () => {
  await workspace?.close();
  await database?.drop();
});
beforeEach(() => {
  manager = workspace.person('manager');
});

const post = (path: string, body?: unknown, as = manager) => workspace.call(as, 'POST', path, body);
const get = (path: string, as = manager) => workspace.call(as, 'GET', path);
const make = async (body: object) => {
  const answer = await post('/projects', body);
  expect(answer.status).toBe(201);
  return answer.body;
};
const names = (answer: { body: { items: { name: string }[] } }) => answer.body.items.map(({ name }) => name);

describe('projects', () => {
  test('made, read, changed', async () => {
    const project = await make({ name: '  Apollo ', description: 'To the\nmoon' });
    expect(project).toEqual({
      id: expect.any(String),
      name: 'Apollo',
      description: 'To the\nmoon',
      status: 'active',
      color: null,
      clientName: null,
      budgetSeconds: null,
      createdBy: manager.userId,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
      version: 1,
    });
    expect((await get(`/projects/${project.id}`)).body).toEqual(project);
    const patch = (body: object) => workspace.call(manager, 'PATCH', `/projects/${project.id}`, body);
    expect((await patch({ status: 'on_hold', version: 1 })).body).toMatchObject({ status: 'on_hold', version: 2 });
    expect((await patch({ description: null })).body).toMatchObject({ name: 'Apollo', description: null, version: 3 });
    expect(await patch({ name: 'x', version: 2 })).toMatchObject({ status: 409, body: { code: 'STALE_VERSION' } });
    // A misspelt field seems to be taken else.
    for (const nothing of [{}, { version: 3 }, { colour: 'red', version: 3 }]) {
      expect(await patch(nothing)).toMatchObject({
        status: 400,
        body: { code: 'VALIDATION_FAILED', details: [{ message: 'names nothing to change' }] },
      });
    }
  });

  test('have a color, a client and a budget, which the audit trail knows and the topic does not', async () => {
    const details = { color: '#3366FF', clientName: 'ACME', budgetSeconds: 360_000 };
    const project = await make({ name: 'Apollo', ...details });
    expect(project).toMatchObject(details);
    const patch = (body: object) => workspace.call(manager, 'PATCH', `/projects/${project.id}`, body);
    expect((await patch({ budgetSeconds: 0, color: 'teal' })).body).toMatchObject({
      ...details,
      budgetSeconds: 0,
      color: 'teal',
      version: 2,
    });
    expect((await patch({ clientName: null })).body).toMatchObject({ clientName: null, color: 'teal', version: 3 });
    expect((await get('/projects')).body.items).toEqual([(await get(`/projects/${project.id}`)).body]);
    for (const bad of [{ color: 'url(x)' }, { budgetSeconds: -1 }, { budgetSeconds: 1.5 }, { clientName: '' }]) {
      expect((await patch(bad)).status).toBe(400);
      expect((await post('/projects', { name: 'Bad', ...bad })).status).toBe(400);
    }
    const audit = async () =>
      (await workspace.audited(manager.organizationId)).filter(({ action }) => action === 'project.changed');
    await until('both changes are told', async () => (await audit()).length === 2);
    expect((await audit())[1]).toMatchObject({ before: { clientName: 'ACME' }, after: { clientName: null } });
    const [{ events } = { events: [] }] = await workspace.told(manager.organizationId);
    expect(Object.keys(events[0]!).sort()).toEqual(['deleted', 'id', 'name', 'status', 'type', 'version']);
  });

  test('lists: newest first, by status, in pages; active ones by themselves', async () => {
    for (const [i, status] of (['active', 'archived', 'active', 'completed', 'active'] as const).entries()) {
      await make({ name: `P${i}`, status });
      // Ids of one millisecond have no order.
      const now = Date.now();
      while (Date.now() === now);
    }
    expect(names(await get('/projects'))).toEqual(['P4', 'P3', 'P2', 'P1', 'P0']);
    expect(names(await get('/projects?status=completed'))).toEqual(['P3']);
    expect(names(await get('/projects/active'))).toEqual(['P4', 'P2', 'P0']);
    expect((await allPages(workspace, manager, '/projects?limit=2')).length).toBe(5);
    expect((await allPages(workspace, manager, '/projects/active?limit=1')).length).toBe(3);
    const { nextCursor } = (await get('/projects/active?limit=1')).body;
    expect(await get(`/projects?limit=1&cursor=${nextCursor}`)).toMatchObject({
      status: 400,
      body: { code: 'INVALID_CURSOR' },
    });
  });

  test('a live name is taken, in any case and form; a deleted one is free', async () => {
    const { id } = await make({ name: 'Café Äpfel' });
    const taken = { status: 409, body: { code: 'NAME_TAKEN' } };
    expect(await post('/projects', { name: 'CAFÉ ÄPFEL' })).toMatchObject(taken);
    expect(await post('/projects', { name: 'cafe\u0301 äpfel' })).toMatchObject(taken);
    expect((await post('/projects', { name: 'Café Äpfel' }, workspace.person('manager'))).status).toBe(201);
    const other = await make({ name: 'Other' });
    const rename = await workspace.call(manager, 'PATCH', `/projects/${other.id}`, { name: 'café äpfel' });
    expect(rename).toMatchObject(taken);
    await workspace.call(manager, 'DELETE', `/projects/${id}`);
    await make({ name: 'café äpfel' });
    expect(await post(`/projects/${id}/restore`)).toMatchObject(taken);
    expect((await get(`/projects/${id}`)).status).toBe(404);
  });

  test('the longest name there is fits the index of names', async () => {
    // What counts is the composed form, in which this sign is three.
    expect(await post('/projects', { name: '\u{1d160}'.repeat(200) })).toMatchObject({ status: 400 });
    await make({ name: '\u{10000}'.repeat(200) });
  });

  test('of many who make one name at once, one does', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/projects', { name: 'Race' })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
  });

  test('an organisation has a bounded number of them, also when they come at once', async () => {
    await database.admin.query(
      `INSERT INTO workspace.projects (organization_id, id, name, name_key, status, created_by)
       SELECT $1, gen_random_uuid(), n::text, n::text, 'active', $2 FROM generate_series(2, $3) n`,
      [manager.organizationId, manager.userId, maxProjects],
    );
    const answers = await Promise.all([post('/projects', { name: 'a' }), post('/projects', { name: 'b' })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(answers.find(({ status }) => status === 409)!.body.code).toBe('TOO_MANY_PROJECTS');
  });
});

describe('deleting a project with teams and tasks', () => {
  test('takes them along everywhere, and restoring brings them back as they were', async () => {
    const project = await make({ name: 'Apollo' });
    const kept = await make({ name: 'Kept' });
    const team = (await post(`/projects/${project.id}/teams`, { name: 'T' })).body;
    await post(`/teams/${team.id}/members`, { userId: manager.userId });
    const task = (await post('/tasks', { projectId: project.id, title: 'word' })).body;
    const gone = (await post('/tasks', { projectId: project.id, title: 'word' })).body;
    await workspace.call(manager, 'DELETE', `/tasks/${gone.id}`);
    const other = (await post('/tasks', { projectId: kept.id, title: 'word' })).body;
    const before = await Promise.all(
      [`/projects/${project.id}/tasks`, `/teams/${team.id}`, `/teams/${team.id}/members`, `/tasks/${task.id}`].map(
        async (path) => (await get(path)).body,
      ),
    );
    const rows = () =>
      database.admin
        .query('SELECT id, version, xmin FROM workspace.tasks WHERE organization_id = $1 ORDER BY id', [
          manager.organizationId,
        ])
        .then((result) => result.rows);
    const untouched = await rows();

    expect((await workspace.call(manager, 'DELETE', `/projects/${project.id}`)).status).toBe(204);
    const notThere: [string, string, unknown?][] = [
      ['DELETE', `/projects/${project.id}`],
      ['GET', `/projects/${project.id}`],
      ['PATCH', `/projects/${project.id}`, { name: 'x' }],
      ['GET', `/projects/${project.id}/tasks`],
      ['POST', `/projects/${project.id}/tasks`, { title: 't' }],
      ['GET', `/projects/${project.id}/teams`],
      ['POST', `/projects/${project.id}/teams`, { name: 't' }],
      ['GET', `/teams/${team.id}`],
      ['PATCH', `/teams/${team.id}`, { name: 'x' }],
      ['DELETE', `/teams/${team.id}`],
      ['GET', `/teams/${team.id}/members`],
      ['POST', `/teams/${team.id}/members`, { userId: manager.userId }],
      ['DELETE', `/teams/${team.id}/members/${manager.userId}`],
      ['GET', `/tasks/${task.id}`],
      ['PATCH', `/tasks/${task.id}`, { version: 1, title: 'x' }],
      ['DELETE', `/tasks/${task.id}`],
      ['POST', `/tasks/${gone.id}/restore`],
    ];
    for (const [method, path, body] of notThere) {
      expect({ method, path, ...(await workspace.call(manager, method, path, body)) }).toMatchObject({ status: 404 });
    }
    for (const path of ['/tasks', '/tasks?search=word', `/tasks?assigneeId=${manager.userId}`]) {
      const ids = (await get(path)).body.items.map((item: { id: string }) => item.id);
      expect(ids).toEqual(path.includes('assignee') ? [] : [other.id]);
    }
    expect((await get(`/tasks?projectId=${project.id}`)).body.items).toEqual([]);
    expect((await get('/tasks/stats')).body.total).toBe(1);
    expect(names(await get('/projects'))).toEqual(['Kept']);
    expect(names(await get('/projects/active'))).toEqual(['Kept']);
    expect(await post('/tasks', { projectId: project.id, title: 't' })).toMatchObject({
      status: 400,
      body: { code: 'UNKNOWN_PROJECT' },
    });
    expect(await rows()).toEqual(untouched);

    expect(await post(`/projects/${project.id}/restore`)).toMatchObject({
      status: 200,
      body: { ...project, version: 3, updatedAt: expect.any(String) },
    });
    const after = await Promise.all(
      [`/projects/${project.id}/tasks`, `/teams/${team.id}`, `/teams/${team.id}/members`, `/tasks/${task.id}`].map(
        async (path) => (await get(path)).body,
      ),
    );
    expect(after).toEqual(before);
    expect((await get('/tasks/stats')).body.total).toBe(2);
    expect(await post(`/projects/${project.id}/restore`)).toMatchObject({ status: 409, body: { code: 'NOT_DELETED' } });
  });

  test('is told by the project’s event alone', async () => {
    const project = await make({ name: 'Apollo' });
    await post('/tasks', { projectId: project.id, title: 't' });
    await workspace.call(manager, 'DELETE', `/projects/${project.id}`);
    const told = async () => (await workspace.told(manager.organizationId)).flatMap(({ events }) => events);
    await until('three events', async () => (await told()).length === 3);
    expect((await told()).filter(({ deleted }) => deleted)).toEqual([
      { type: 'project', id: project.id, version: 2, deleted: true, name: 'Apollo', status: 'active' },
    ]);
  });
});

test('an id that is nowhere is 404, one that is none is 400', async () => {
  expect(await get(`/projects/${randomUUID()}`)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
  expect(await get('/projects/moon')).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
});
