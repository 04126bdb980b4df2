import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPool } from '@worktide/postgres';
import { createLifecycle, createMetrics, serve, silentLogger, uuidv7 } from '@worktide/runtime';
import { organizationSettings } from '@worktide/schemas';
import { call } from '@worktide/testing';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';
import { internalRoutes } from './routes.ts';

const internalToken = 'internal-token-of-tests-0123456789abcdef';
const log = silentLogger();
const lifecycle = createLifecycle({ log });
let database: TestDatabase;
let workspace: Running;
let url: string;

beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
  const pool = createPool(database.url, { applicationName: 'test', log });
  lifecycle.onClose('postgres', () => pool.end());
  const organization = async (id: string) => ({
    id,
    timezone: 'UTC',
    subscriptionStatus: 'pro' as const,
    settings: organizationSettings.parse(workspace.settings.get(id) ?? {}),
  });
  const service = { name: 'test', routes: internalRoutes(pool, organization), checks: {}, internalToken };
  const metrics = createMetrics();
  ({ url } = await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 }));
});
afterAll(async () => {
  await lifecycle.close();
  await workspace?.close();
  await database?.drop();
});

const ask = async (path: string, body: object) =>
  (await call(url, 'POST', `/internal/workspace${path}`, { bearer: internalToken, body })).body;
const make = async (as: Person, path: string, body: object): Promise<string> =>
  (await workspace.call(as, 'POST', path, body)).body.id;

test('who sees a task is who would be shown it', async () => {
  const boss = workspace.person('manager');
  const { organizationId } = boss;
  const [ada, ben] = [1, 2].map(() => workspace.person('employee', { organizationId })) as [Person, Person];
  const projectId = await make(boss, '/projects', { name: 'P' });
  const taskId = await make(boss, '/tasks', { projectId, title: 'T', assigneeId: ada.userId });
  const everybody = [boss, ada, ben, workspace.person('admin')];
  const shown = () =>
    Promise.all(everybody.map(async (one) => (await workspace.call(one, 'GET', `/tasks/${taskId}`)).status === 200));
  const sees = () =>
    Promise.all(everybody.map(async (one) => (await ask('/sees-task', { ...one, taskId })).sees as boolean));
  expect(await sees()).toEqual([true, true, true, false]);
  expect(await sees()).toEqual(await shown());
  workspace.settings.set(organizationId, { taskVisibility: 'own' });
  expect(await sees()).toEqual([true, true, false, false]);
  expect(await sees()).toEqual(await shown());
  await workspace.call(boss, 'DELETE', `/tasks/${taskId}`);
  expect(await sees()).toEqual([false, false, false, false]);
});

test('who is in a team; another organisation has none of its name', async () => {
  const boss = workspace.person('manager');
  const { organizationId } = boss;
  const ada = workspace.person('employee', { organizationId });
  const teamId = await make(boss, '/teams', { name: 'T' });
  expect(await ask('/team', { organizationId, teamId })).toEqual({ userIds: [] });
  await workspace.call(boss, 'POST', `/teams/${teamId}/members`, { userId: ada.userId });
  expect(await ask('/team', { organizationId, teamId })).toEqual({ userIds: [ada.userId] });
  expect(await ask('/team', { organizationId: uuidv7(), teamId })).toEqual({ userIds: null });
  expect(await ask('/team', { organizationId, teamId: uuidv7() })).toEqual({ userIds: null });
});

test('projects are found by name, in whatever case, where they are active and of this organisation', async () => {
  const boss = workspace.person('manager');
  const { organizationId } = boss;
  const projectId = await make(boss, '/projects', { name: 'Website Élan' });
  await make(boss, '/projects', { name: 'Old', status: 'archived' });
  await make(workspace.person('manager'), '/projects', { name: 'Theirs' });
  const names = ['website élan', 'Website Élan', 'Old', 'Theirs', ''];
  expect((await ask('/project-names', { organizationId, names })).projects).toEqual([
    { name: 'website élan', id: projectId },
    { name: 'Website Élan', id: projectId },
  ]);
});
