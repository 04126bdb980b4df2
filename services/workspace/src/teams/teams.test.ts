import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { tenantTransaction } from '@worktide/postgres';
import { until } from '@worktide/testing';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';
import { findLed, maxMembers, maxTeams } from './teams.ts';

let database: TestDatabase;
let workspace: Running;
let manager: Person;
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
  projectId = (await workspace.call(manager, 'POST', '/projects', { name: 'Apollo' })).body.id;
});

const post = (path: string, body?: unknown) => workspace.call(manager, 'POST', path, body);
const get = (path: string) => workspace.call(manager, 'GET', path);
const make = async (name = 'Team') => (await post(`/projects/${projectId}/teams`, { name })).body;
const colleague = () => workspace.person('employee', { organizationId: manager.organizationId });

test('teams are made, listed, changed and deleted', async () => {
  const team = await make('Crew');
  expect(team).toEqual({
    id: expect.any(String),
    projectId,
    name: 'Crew',
    memberCount: 0,
    createdAt: expect.any(String),
    updatedAt: expect.any(String),
    version: 1,
  });
  expect((await get(`/teams/${team.id}`)).body).toEqual(team);
  expect((await get(`/projects/${projectId}/teams`)).body).toEqual({ items: [team], nextCursor: null });
  const patch = (body: object) => workspace.call(manager, 'PATCH', `/teams/${team.id}`, body);
  expect((await patch({ name: 'New', version: 1 })).body).toMatchObject({ name: 'New', version: 2 });
  expect(await patch({ title: 'Newer', version: 2 })).toMatchObject({
    status: 400,
    body: { code: 'VALIDATION_FAILED' },
  });
  expect(await patch({ name: 'Newer', version: 1 })).toMatchObject({ status: 409, body: { code: 'STALE_VERSION' } });
  expect((await workspace.call(manager, 'DELETE', `/teams/${team.id}`)).status).toBe(204);
  expect((await workspace.call(manager, 'DELETE', `/teams/${team.id}`)).status).toBe(404);
  expect((await get(`/teams/${team.id}`)).status).toBe(404);
  expect((await get(`/projects/${projectId}/teams`)).body.items).toEqual([]);
});

test('members come, come again without effect, and go; each is a version with all who are in it', async () => {
  const { id } = await make();
  const [ada, bob] = [colleague(), colleague()];
  const path = `/teams/${id}/members`;
  const added = await post(path, { userId: ada.userId.toUpperCase() });
  expect(added).toMatchObject({ status: 201, body: { userId: ada.userId, addedAt: expect.any(String) } });
  expect(await post(path, { userId: ada.userId })).toMatchObject({ status: 200, body: added.body });
  await post(path, { userId: bob.userId });
  expect((await get(`/teams/${id}`)).body).toMatchObject({ memberCount: 2, version: 3 });
  const first = (await get(`${path}?limit=1`)).body;
  const second = (await get(`${path}?limit=1&cursor=${first.nextCursor}`)).body;
  const listed = [...first.items, ...second.items].map(({ userId }: { userId: string }) => userId);
  expect(listed).toEqual([ada.userId, bob.userId].sort());
  expect(second.nextCursor).toBeNull();
  expect((await workspace.call(manager, 'DELETE', `${path}/${ada.userId}`)).status).toBe(204);
  expect((await workspace.call(manager, 'DELETE', `${path}/${ada.userId}`)).status).toBe(404);
  const told = async () =>
    (await workspace.told(manager.organizationId))
      .flatMap(({ events }) => events)
      .flatMap((event) => (event.type === 'team' ? [event] : []));
  await until('four versions were told', async () => (await told()).length === 4);
  expect((await told()).map(({ version, memberIds }) => [version, memberIds])).toEqual([
    [1, []],
    [2, [ada.userId]],
    [3, [ada.userId, bob.userId].sort()],
    [4, [bob.userId]],
  ]);
});

test('a lead is a member; a role is changed by adding again, told and in the trail', async () => {
  const { id } = await make();
  const ada = colleague();
  const path = `/teams/${id}/members`;
  expect(await post(path, { userId: ada.userId, role: 'lead' })).toMatchObject({ status: 201, body: { role: 'lead' } });
  // Without a role it stays.
  expect(await post(path, { userId: ada.userId })).toMatchObject({ status: 200, body: { role: 'lead' } });
  expect(await post(path, { userId: ada.userId, role: 'member' })).toMatchObject({
    status: 200,
    body: { role: 'member' },
  });
  expect((await post(path, { userId: ada.userId, role: 'boss' })).status).toBe(400);
  const told = async () =>
    (await workspace.told(manager.organizationId))
      .flatMap(({ events }) => events)
      .flatMap((event) => (event.type === 'team' ? [event] : []));
  await until('three versions were told', async () => (await told()).length === 3);
  expect((await told()).map(({ version, memberIds, leadIds }) => [version, memberIds, leadIds])).toEqual([
    [1, [], []],
    [2, [ada.userId], [ada.userId]],
    [3, [ada.userId], []],
  ]);
});

test('a department is a team of no project, and the list has both', async () => {
  const team = await make();
  const department = await post('/teams', { name: 'Night shift' });
  expect(department).toMatchObject({ status: 201, body: { projectId: null, name: 'Night shift', memberCount: 0 } });
  expect(await post('/teams', { name: 'Crew', projectId })).toMatchObject({ status: 201, body: { projectId } });
  expect((await post('/teams', { name: 'x', projectId: randomUUID() })).status).toBe(404);
  const ids = async (path: string) => (await get(path)).body.items.map((one: { id: string }) => one.id);
  expect(await ids('/teams')).toHaveLength(3);
  expect(await ids(`/teams?projectId=${projectId}`)).toHaveLength(2);
  await workspace.call(manager, 'DELETE', `/projects/${projectId}`);
  expect(await ids('/teams')).toEqual([department.body.id]);
  expect((await get(`/teams/${team.id}`)).status).toBe(404);
  const { id } = department.body;
  expect((await post(`/teams/${id}/members`, { userId: colleague().userId })).status).toBe(201);
  const employee = colleague();
  expect((await workspace.call(employee, 'POST', '/teams', { name: 'Mine' })).status).toBe(403);
  expect((await workspace.call(workspace.person('manager'), 'GET', `/teams/${id}`)).status).toBe(404);
});

test('whom somebody leads: members of their teams that are there', async () => {
  const [lead, ada, bob, cy] = [colleague(), colleague(), colleague(), colleague()];
  const led = (of: Person) =>
    tenantTransaction(workspace.pool, of.organizationId, (client) => findLed(client, of.organizationId, of.userId));
  const make2 = async (path: string, ...members: [Person, string][]): Promise<string> => {
    const { id } = (await post(path, { name: 'T' })).body;
    for (const [{ userId }, role] of members) await post(`/teams/${id}/members`, { userId, role });
    return id;
  };
  const nobody = { teamIds: [], userIds: [] };
  expect(await led(lead)).toEqual(nobody);
  const first = await make2('/teams', [lead, 'lead'], [ada, 'member']);
  const second = await make2(`/projects/${projectId}/teams`, [lead, 'lead'], [bob, 'lead']);
  await make2('/teams', [lead, 'member'], [cy, 'lead']);
  const sorted = async (of: Person) => {
    const { teamIds, userIds } = await led(of);
    return [teamIds.sort(), userIds.sort()];
  };
  expect(await sorted(lead)).toEqual([[first, second].sort(), [lead, ada, bob].map(({ userId }) => userId).sort()]);
  expect(await sorted(ada)).toEqual([[], []]);
  await workspace.call(manager, 'DELETE', `/projects/${projectId}`);
  expect(await sorted(lead)).toEqual([[first], [lead, ada].map(({ userId }) => userId).sort()]);
  await workspace.call(manager, 'DELETE', `/teams/${first}`);
  expect(await led(lead)).toEqual(nobody);
});

test('many who add one member at once add one', async () => {
  const { id } = await make();
  const { userId } = colleague();
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(`/teams/${id}/members`, { userId })));
  expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(19).fill(200), 201]);
  expect((await get(`/teams/${id}`)).body).toMatchObject({ memberCount: 1, version: 2 });
});

test('members are users of the organisation who are not inactive; auth away is 503 for new ones', async () => {
  const { id } = await make();
  const path = `/teams/${id}/members`;
  const gone = workspace.person('employee', { organizationId: manager.organizationId, status: 'inactive' });
  for (const userId of [gone.userId, workspace.person().userId, randomUUID()]) {
    expect(await post(path, { userId })).toMatchObject({
      status: 400,
      body: { code: 'UNKNOWN_USER', details: [{ path: 'body.userId' }] },
    });
  }
  const member = colleague();
  await post(path, { userId: member.userId });
  workspace.away.auth = true;
  try {
    expect((await post(path, { userId: colleague().userId })).status).toBe(503);
    expect((await post(path, { userId: member.userId })).status).toBe(200);
    expect((await workspace.call(manager, 'DELETE', `${path}/${member.userId}`)).status).toBe(204);
  } finally {
    workspace.away.auth = false;
  }
});

test('teams of a project and members of a team are bounded', async () => {
  const { id } = await make();
  const { organizationId } = manager;
  await database.admin.query(
    `INSERT INTO workspace.team_members (organization_id, team_id, user_id)
     SELECT $1, $2, gen_random_uuid() FROM generate_series(1, $3)`,
    [organizationId, id, maxMembers],
  );
  expect(await post(`/teams/${id}/members`, { userId: colleague().userId })).toMatchObject({
    status: 409,
    body: { code: 'TOO_MANY_MEMBERS' },
  });
  // An event with all of them is small enough for the log.
  const renamed = await workspace.call(manager, 'PATCH', `/teams/${id}`, { name: 'Full' });
  expect(renamed).toMatchObject({ status: 200, body: { memberCount: maxMembers } });
  await database.admin.query(
    `INSERT INTO workspace.teams (organization_id, id, project_id, name)
     SELECT $1, gen_random_uuid(), $2, 'x' FROM generate_series(2, $3)`,
    [organizationId, projectId, maxTeams],
  );
  expect(await post(`/projects/${projectId}/teams`, { name: 'More' })).toMatchObject({
    status: 409,
    body: { code: 'TOO_MANY_TEAMS' },
  });
});
