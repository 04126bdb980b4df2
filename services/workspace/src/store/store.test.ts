import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createOutbox, createPool, tenantTransaction } from '@worktide/postgres';
import { createLifecycle, createMetrics, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';

let database: TestDatabase;
let workspace: Running;
beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
});
afterAll(async () => {
  await workspace?.close();
  await database?.drop();
});

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

describe('what a change tells', () => {
  test('each leaves one record of whole states and one of who did what, in the order of the changes', async () => {
    const boss = workspace.person('manager');
    const user = workspace.person('employee', { organizationId: boss.organizationId });
    const { project, team, task } = await fill(boss);
    const dueDate = '2026-12-24T10:00:00+01:00';
    await workspace.call(user, 'PATCH', `/tasks/${task}`, { version: 1, title: 'no' });
    await workspace.call(boss, 'PATCH', `/tasks/${task}`, {
      version: 1,
      status: 'done',
      assigneeId: user.userId,
      dueDate,
    });
    await workspace.call(user, 'PATCH', `/tasks/${task}`, { version: 2, status: 'todo' });
    await workspace.call(boss, 'DELETE', `/tasks/${task}`);
    await workspace.call(boss, 'POST', `/tasks/${task}/restore`);
    await workspace.call(boss, 'DELETE', `/teams/${team}/members/${boss.userId}`);
    await workspace.call(boss, 'PATCH', `/teams/${team}`, { name: 'New' });
    await workspace.call(boss, 'DELETE', `/teams/${team}`);
    await workspace.call(boss, 'PATCH', `/projects/${project}`, { status: 'on_hold' });
    await workspace.call(boss, 'DELETE', `/projects/${project}`);
    await workspace.call(boss, 'POST', `/projects/${project}/restore`);
    await until('all was told', async () => (await workspace.told(boss.organizationId)).length === 14);

    const told = await workspace.told(boss.organizationId);
    const summary = ({ actorId, events }: (typeof told)[number]) =>
      events.flatMap((event) => [event.type, event.version, event.deleted, actorId === user.userId ? 'user' : 'boss']);
    const inOrder = told.map(summary).sort();
    expect(inOrder).toEqual(
      [
        ['project', 1, false, 'boss'],
        ['team', 1, false, 'boss'],
        ['team', 2, false, 'boss'],
        ['task', 1, false, 'boss'],
        ['task', 2, false, 'boss'],
        ['task', 3, false, 'user'],
        ['task', 4, true, 'boss'],
        ['task', 5, false, 'boss'],
        ['team', 3, false, 'boss'],
        ['team', 4, false, 'boss'],
        ['team', 5, true, 'boss'],
        ['project', 2, false, 'boss'],
        ['project', 3, true, 'boss'],
        ['project', 4, false, 'boss'],
      ].sort(),
    );
    const done = told.flatMap(({ events }) => events).find((event) => event.type === 'task' && event.version === 2);
    expect(done).toEqual({
      type: 'task',
      id: task,
      version: 2,
      deleted: false,
      projectId: project,
      title: 'Secret',
      status: 'done',
      priority: 'medium',
      assigneeId: user.userId,
      creatorId: boss.userId,
      dueDate: '2026-12-24T09:00:00.000Z',
      completedAt: expect.any(Number),
    });

    await until('all was audited', async () => (await workspace.audited(boss.organizationId)).length === 14);
    const audit = await workspace.audited(boss.organizationId);
    expect(audit.map(({ action }) => action).sort()).toEqual(
      [
        ...['project.created', 'project.changed', 'project.deleted', 'project.restored'],
        ...['team.created', 'team.member-added', 'team.member-removed', 'team.changed', 'team.deleted'],
        ...['task.created', 'task.changed', 'task.changed', 'task.deleted', 'task.restored'],
      ].sort(),
    );
    expect(audit.find(({ action, actorId }) => action === 'task.changed' && actorId === boss.userId)).toEqual({
      id: expect.any(String),
      at: expect.any(Number),
      action: 'task.changed',
      actorType: 'user',
      actorId: boss.userId,
      entityType: 'task',
      entityId: task,
      before: { status: 'todo', assigneeId: boss.userId, dueDate: null, version: 1 },
      after: { status: 'done', assigneeId: user.userId, dueDate: '2026-12-24T09:00:00.000Z', version: 2 },
      ipAddress: '127.0.0.1',
      userAgent: 'tests',
      requestId: expect.any(String),
      sessionId: expect.any(String),
      service: 'workspace',
    });
  });

  test('who gave a task to whom is told with the state that says so, and nothing else is', async () => {
    const boss = workspace.person('manager');
    const { organizationId } = boss;
    const [ada, lin] = [1, 2].map(() => workspace.person('employee', { organizationId })) as [Person, Person];
    const projectId = await made(boss, '/projects', { name: 'P' });
    const task = await made(ada, '/tasks', { projectId, title: 'T', assigneeId: lin.userId });
    let version = 1;
    const change = async (as: Person, body: object) => {
      expect(await workspace.call(as, 'PATCH', `/tasks/${task}`, { version, ...body })).toMatchObject({ status: 200 });
      version++;
    };
    await change(lin, { status: 'in_progress' });
    await change(boss, { assigneeId: ada.userId, title: 'New' });
    await change(ada, { assigneeId: ada.userId, priority: 'high' });
    await change(ada, { assigneeId: null });
    await change(boss, { assigneeId: boss.userId });
    // Neither refused nor late ones, nor what is deleted and brought back.
    await workspace.call(boss, 'PATCH', `/tasks/${task}`, { version: 1, assigneeId: lin.userId });
    await workspace.call(lin, 'PATCH', `/tasks/${task}`, { version, assigneeId: lin.userId });
    await workspace.call(boss, 'DELETE', `/tasks/${task}`);
    await workspace.call(boss, 'POST', `/tasks/${task}/restore`);
    const own = await made(lin, '/tasks', { projectId, title: 'Nobody’s' });
    await until('all was told', async () => (await workspace.told(organizationId)).length === 10);

    const told = await workspace.told(organizationId);
    const happened = told.flatMap((record) => (record.happened ?? []).map((each) => ({ by: record.actorId, ...each })));
    const assigned = (by: Person, at: number, to: Person, from: Person | null) => ({
      by: by.userId,
      type: 'task.assigned',
      id: task,
      version: at,
      assigneeId: to.userId,
      previousAssigneeId: from?.userId ?? null,
    });
    expect(happened.sort((a, b) => a.version - b.version)).toEqual([
      assigned(ada, 1, lin, null),
      assigned(boss, 3, ada, lin),
      assigned(boss, 6, boss, null),
    ]);
    // Beside the whole state of that version.
    for (const { happened: each, events } of told) {
      if (!each) continue;
      const { id, version: at, assigneeId } = each[0]!;
      expect(events).toEqual([expect.objectContaining({ type: 'task', id, version: at, assigneeId })]);
    }
    expect(told.flatMap(({ events }) => events).some(({ id }) => id === own)).toBe(true);
  });

  test('the log away holds up no action and loses no event', async () => {
    const boss = workspace.person('manager');
    workspace.away.log = true;
    try {
      await fill(boss);
      const { rows } = await database.admin.query('SELECT count(*)::int AS n FROM workspace.outbox');
      expect(rows[0].n).toBeGreaterThanOrEqual(4);
      expect(await workspace.told(boss.organizationId)).toEqual([]);
    } finally {
      workspace.away.log = false;
    }
    await until('all was told', async () => (await workspace.told(boss.organizationId)).length >= 4);
    await until('and audited', async () => (await workspace.audited(boss.organizationId)).length >= 4);
  });

  test('what a process that died has committed another publishes', async () => {
    const log = silentLogger();
    const lifecycle = createLifecycle({ log });
    const pool = createPool(database.url, { applicationName: 'died', log });
    lifecycle.onClose('pool', () => pool.end());
    const producer = { send: async () => Promise.reject(new Error('died')) };
    const graceMs = 60_000;
    const died = createOutbox({
      schema: 'workspace',
      pool,
      producer,
      log,
      metrics: createMetrics(),
      lifecycle,
      graceMs,
    });
    const key = randomUUID();
    await tenantTransaction(pool, key, (client) =>
      died.write(client, [{ topic: 'workspace-events', key, value: Buffer.from('left behind') }]),
    );
    // Before its row is due, which its own sweep would else take once more.
    await lifecycle.close();
    await database.admin.query("UPDATE workspace.outbox SET due_at = now() - interval '1 second'");
    await until('it is in the log', async () => {
      const partitions = await Promise.all(
        Array.from({ length: 12 }, (_, partition) =>
          workspace.eventLog.admin.read('workspace-events', { partition, fromOffset: 0, limit: 100_000 }),
        ),
      );
      return partitions.flat().some((record) => record.key === key);
    });
  });
});

test('the database away: 503 with Retry-After, and nothing of where it is', async () => {
  const broken = await startWorkspace('postgres://nobody:hush@127.0.0.1:9/nowhere');
  try {
    const person = broken.person('admin');
    const asked: [string, string, unknown?][] = [
      ['GET', '/projects'],
      ['GET', '/projects/active'],
      ['GET', '/tasks/stats'],
      ['POST', '/projects', { name: 'x' }],
    ];
    for (const [method, path, body] of asked) {
      const answer = await broken.call(person, method, path, body);
      expect(answer).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
      expect(answer.headers.get('retry-after')).not.toBeNull();
      expect(JSON.stringify(answer.body)).not.toMatch(/hush|127\.0\.0\.1|nowhere/);
    }
  } finally {
    await broken.close();
  }
});
