import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';

let database: TestDatabase;
let workspace: Running;
let manager: Person;
let employee: Person;
let projectId: string;

beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
});
afterAll(async () => {
  await workspace?.close();
  await database?.drop();
});
beforeEach(async () => {
  manager = workspace.person('manager');
  employee = workspace.person('employee', { organizationId: manager.organizationId });
  projectId = (await workspace.call(manager, 'POST', '/projects', { name: 'Apollo' })).body.id;
});

const make = async (as: Person, body: object = {}) => {
  const answer = await workspace.call(as, 'POST', '/tasks', { projectId, title: 'A task', ...body });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body;
};
const patch = (as: Person, id: string, body: object) => workspace.call(as, 'PATCH', `/tasks/${id}`, body);
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

describe('tasks', () => {
  test('a new task has all its fields; the same ones come back', async () => {
    const task = await make(employee);
    expect(task).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      projectId,
      title: 'A task',
      description: null,
      status: 'todo',
      priority: 'medium',
      assigneeId: null,
      creatorId: employee.userId,
      dueDate: null,
      completedAt: null,
      createdAt: expect.stringMatching(instant),
      updatedAt: expect.stringMatching(instant),
      deletedAt: null,
      version: 1,
    });
    expect((await workspace.call(manager, 'GET', `/tasks/${task.id.toUpperCase()}`)).body).toEqual(task);
    const inProject = await workspace.call(employee, 'POST', `/projects/${projectId.toUpperCase()}/tasks`, {
      title: 'Another',
      description: 'two\nlines',
      priority: 'high',
      status: 'done',
      assigneeId: manager.userId.toUpperCase(),
      dueDate: '2026-11-30',
    });
    expect(inProject).toMatchObject({
      status: 201,
      body: {
        projectId,
        description: 'two\nlines',
        priority: 'high',
        status: 'done',
        assigneeId: manager.userId,
        dueDate: '2026-11-30',
        completedAt: expect.stringMatching(instant),
      },
    });
  });

  test('a due date keeps its form: a day is a day, an instant is UTC', async () => {
    const due = async (dueDate: string | null) => (await make(employee, { dueDate })).dueDate;
    expect(await due('2026-02-28')).toBe('2026-02-28');
    expect(await due('1970-01-01')).toBe('1970-01-01');
    expect(await due('9999-12-30')).toBe('9999-12-30');
    expect(await due('2026-11-30T01:30:00+05:45')).toBe('2026-11-29T19:45:00.000Z');
    expect(await due('2026-11-30T01:30:00.123456Z')).toBe('2026-11-30T01:30:00.123Z');
    expect(await due(null)).toBeNull();
  });

  test.each([
    ['no title', { title: '' }],
    ['a title of two lines', { title: 'a\nb' }],
    ['a title of 301 characters', { title: 'x'.repeat(301) }],
    ['a NUL in the description', { description: 'a\u0000' }],
    ['half a surrogate pair in the description', { description: 'a\ud800' }],
    ['an unknown status', { status: 'blocked' }],
    ['a day that is none', { dueDate: '2026-02-30' }],
    ['a due date without a zone', { dueDate: '2026-02-28T10:00:00' }],
    ['the year 0', { dueDate: '0000-01-01' }],
    ['a year beyond 9999', { dueDate: '9999-12-31T23:59:59-12:00' }],
    ['a project id that is none', { projectId: 'x' }],
  ])('%s is 400', async (_name, body) => {
    const answer = await workspace.call(employee, 'POST', '/tasks', { projectId, title: 'A task', ...body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
  });

  test('a description of 20,000 characters of any width is taken and given back', async () => {
    const description = '語'.repeat(20_000);
    const task = await make(employee, { description });
    expect((await workspace.call(employee, 'GET', `/tasks/${task.id}`)).body.description).toBe(description);
  });

  test('completedAt comes with done, stays through other changes and goes with it', async () => {
    const { id } = await make(employee);
    const done = (await patch(employee, id, { version: 1, status: 'done' })).body;
    expect(done).toMatchObject({ version: 2, completedAt: expect.stringMatching(instant) });
    const renamed = (await patch(employee, id, { version: 2, title: 'New', status: 'done' })).body;
    expect(renamed).toMatchObject({ version: 3, title: 'New', completedAt: done.completedAt });
    const reopened = (await patch(employee, id, { version: 3, status: 'in_progress' })).body;
    expect(reopened).toMatchObject({ version: 4, completedAt: null });
  });

  test('what is not named stays, null takes away, and nothing named is 400', async () => {
    const task = await make(employee, { description: 'd', dueDate: '2026-12-01', assigneeId: manager.userId });
    for (const nothing of [{ version: 1 }, { version: 1, assigneeID: employee.userId }]) {
      expect(await patch(employee, task.id, nothing)).toMatchObject({
        status: 400,
        body: { code: 'VALIDATION_FAILED' },
      });
    }
    const less = await patch(employee, task.id, { version: 1, description: null, dueDate: null, assigneeId: null });
    expect(less.body).toMatchObject({
      title: 'A task',
      description: null,
      dueDate: null,
      assigneeId: null,
      version: 2,
    });
  });

  test('a change needs the version, and the present one', async () => {
    const { id } = await make(employee);
    expect(await patch(employee, id, { title: 'x' })).toMatchObject({ status: 400 });
    expect(await patch(employee, id, { version: 2, title: 'x' })).toMatchObject({
      status: 409,
      body: { code: 'STALE_VERSION' },
    });
    expect((await workspace.call(employee, 'GET', `/tasks/${id}`)).body).toMatchObject({ title: 'A task', version: 1 });
  });

  test.each([
    ['that differ', (i: number) => ({ title: `title ${i}` })],
    ['that ask for what is so already', () => ({ title: 'A task' })],
  ])('of 100 parallel changes %s, from one version, one wins and 99 are stale', async (_name, change) => {
    const { id } = await make(employee);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => patch(employee, id, { version: 1, ...change(i) })),
    );
    const won = answers.filter(({ status }) => status === 200);
    expect(won).toHaveLength(1);
    expect(answers.filter(({ status, body }) => status === 409 && body.code === 'STALE_VERSION')).toHaveLength(99);
    const now = (await workspace.call(employee, 'GET', `/tasks/${id}`)).body;
    expect(now).toEqual(won[0]!.body);
    expect(now.version).toBe(2);
    const versions = async () =>
      (await workspace.told(employee.organizationId)).flatMap(({ events }) =>
        events.filter((event) => event.id === id).map((event) => event.version),
      );
    await until('both versions were told', async () => (await versions()).length === 2);
    expect((await versions()).sort()).toEqual([1, 2]);
  });

  test('deleted is 404 for everything but restoring, and deleting twice is once', async () => {
    const task = await make(employee);
    const path = `/tasks/${task.id}`;
    expect((await workspace.call(employee, 'DELETE', path)).status).toBe(204);
    expect((await workspace.call(employee, 'DELETE', path)).status).toBe(404);
    expect((await workspace.call(employee, 'GET', path)).status).toBe(404);
    expect((await patch(employee, task.id, { version: 2, title: 'x' })).status).toBe(404);
    expect((await workspace.call(employee, 'GET', '/tasks')).body.items).toEqual([]);
    const restored = await workspace.call(employee, 'POST', `${path}/restore`);
    expect(restored).toMatchObject({ status: 200, body: { ...task, version: 3, updatedAt: expect.any(String) } });
    expect(await workspace.call(employee, 'POST', `${path}/restore`)).toMatchObject({
      status: 409,
      body: { code: 'NOT_DELETED' },
    });
    expect((await workspace.call(employee, 'GET', '/tasks')).body.items).toHaveLength(1);
  });

  test('a task moves to another project of the organisation and to no other', async () => {
    const task = await make(employee);
    const other = (await workspace.call(manager, 'POST', '/projects', { name: 'Gemini' })).body.id;
    const stranger = workspace.person('manager');
    const foreign = (await workspace.call(stranger, 'POST', '/projects', { name: 'Vostok' })).body.id;
    expect((await patch(employee, task.id, { version: 1, projectId: other })).body).toMatchObject({
      projectId: other,
      version: 2,
    });
    for (const unknown of [foreign, randomUUID()]) {
      expect(await patch(employee, task.id, { version: 2, projectId: unknown })).toMatchObject({
        status: 400,
        body: { code: 'UNKNOWN_PROJECT', details: [{ path: 'body.projectId' }] },
      });
      const made = await workspace.call(employee, 'POST', '/tasks', { projectId: unknown, title: 't' });
      expect(made).toMatchObject({ status: 400, body: { code: 'UNKNOWN_PROJECT' } });
      const inPath = await workspace.call(employee, 'POST', `/projects/${unknown}/tasks`, { title: 't' });
      expect(inPath).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    }
  });
});

describe('assignees', () => {
  const unknown = { status: 400, body: { code: 'UNKNOWN_USER', details: [{ path: 'body.assigneeId' }] } };

  test('are users of the organisation who are not inactive', async () => {
    const { organizationId } = manager;
    const gone = workspace.person('employee', { organizationId, status: 'inactive' });
    const suspended = workspace.person('employee', { organizationId, status: 'suspended' });
    const elsewhere = workspace.person();
    for (const assigneeId of [gone.userId, elsewhere.userId, randomUUID()]) {
      const body = { projectId, title: 't', assigneeId };
      expect(await workspace.call(manager, 'POST', '/tasks', body)).toMatchObject(unknown);
    }
    const task = await make(manager, { assigneeId: suspended.userId });
    expect(await patch(manager, task.id, { version: 1, assigneeId: elsewhere.userId })).toMatchObject(unknown);
    expect((await workspace.call(manager, 'GET', `/tasks/${task.id}`)).body).toEqual(task);
  });

  test('who left meanwhile stay where they are: only a new one is asked about', async () => {
    const leaver = workspace.person('employee', { organizationId: manager.organizationId });
    const task = await make(manager, { assigneeId: leaver.userId });
    leaver.status = 'inactive';
    const same = { version: 1, title: 'New', assigneeId: leaver.userId };
    expect(await patch(manager, task.id, same)).toMatchObject({ status: 200 });
  });

  test('auth away: 503 where a user must be looked up, and nowhere else', async () => {
    const task = await make(manager, { assigneeId: employee.userId });
    workspace.away.auth = true;
    try {
      const needed = [
        await workspace.call(manager, 'POST', '/tasks', { projectId, title: 't', assigneeId: employee.userId }),
        await patch(manager, task.id, { version: 1, assigneeId: manager.userId }),
      ];
      for (const answer of needed) {
        expect(answer).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
        expect(answer.headers.get('retry-after')).not.toBeNull();
      }
      const answer = await patch(manager, task.id, { version: 1, title: 'x', assigneeId: employee.userId });
      expect(answer.status).toBe(200);
      expect((await make(manager)).assigneeId).toBeNull();
    } finally {
      workspace.away.auth = false;
    }
  });
});
