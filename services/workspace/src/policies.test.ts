import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Answer } from '@worktide/testing';
import { type Action, policies, type Relation } from './policies.ts';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from './testing.ts';

/** Walks the whole table against the running service: what it grants happens, what it does not grant is 403. */
let database: TestDatabase;
let workspace: Running;
let people: Record<Relation, Person>;
let admin: Person;
let projectId: string;
let names = 0;

beforeAll(async () => {
  database = await workspaceDatabase();
  workspace = await startWorkspace(database.url);
  admin = workspace.person('admin');
  const colleague = (role: Person['role']) => workspace.person(role, { organizationId: admin.organizationId });
  people = {
    member: colleague('employee'),
    manager: colleague('manager'),
    admin: colleague('admin'),
    creator: colleague('employee'),
    assignee: colleague('employee'),
  };
  projectId = (await newProject()).id;
});
afterAll(async () => {
  await workspace?.close();
  await database?.drop();
});

const ok = async (answer: Promise<Answer>) => {
  const { status, body } = await answer;
  expect([200, 201, 204]).toContain(status);
  return body;
};
const newProject = () => ok(workspace.call(admin, 'POST', '/projects', { name: `Project ${names++}` }));
const newTeam = () => ok(workspace.call(admin, 'POST', `/projects/${projectId}/teams`, { name: 'Team' }));
const newTask = () =>
  ok(
    workspace.call(people.creator, 'POST', '/tasks', {
      projectId,
      title: 'A task',
      assigneeId: people.assignee.userId,
    }),
  );
const deleted = async (kind: string, object: { id: string }) => {
  await ok(workspace.call(admin, 'DELETE', `/${kind}/${object.id}`));
  return object.id;
};
const withMember = async () => {
  const { id } = await newTeam();
  await ok(workspace.call(admin, 'POST', `/teams/${id}/members`, { userId: people.member.userId }));
  return id;
};

type Ask = (as: Person) => Promise<Answer>;
/** One request for each action, on an object of its own. */
const requests: Record<Action, Ask> = {
  'project.read': (as) => workspace.call(as, 'GET', `/projects/${projectId}`),
  'project.create': (as) => workspace.call(as, 'POST', '/projects', { name: `Project ${names++}` }),
  'project.change': async (as) =>
    workspace.call(as, 'PATCH', `/projects/${(await newProject()).id}`, { status: 'archived' }),
  'project.delete': async (as) => workspace.call(as, 'DELETE', `/projects/${(await newProject()).id}`),
  'project.restore': async (as) =>
    workspace.call(as, 'POST', `/projects/${await deleted('projects', await newProject())}/restore`),
  'team.read': async (as) => workspace.call(as, 'GET', `/teams/${(await newTeam()).id}`),
  'team.create': (as) => workspace.call(as, 'POST', `/projects/${projectId}/teams`, { name: 'Team' }),
  'team.change': async (as) => workspace.call(as, 'PATCH', `/teams/${(await newTeam()).id}`, { name: 'New' }),
  'team.delete': async (as) => workspace.call(as, 'DELETE', `/teams/${(await newTeam()).id}`),
  'team.add-member': async (as) =>
    workspace.call(as, 'POST', `/teams/${(await newTeam()).id}/members`, { userId: as.userId }),
  'team.remove-member': async (as) =>
    workspace.call(as, 'DELETE', `/teams/${await withMember()}/members/${people.member.userId}`),
  'task.read': async (as) => workspace.call(as, 'GET', `/tasks/${(await newTask()).id}`),
  'task.create': (as) => workspace.call(as, 'POST', '/tasks', { projectId, title: 't' }),
  'task.change': async (as) =>
    workspace.call(as, 'PATCH', `/tasks/${(await newTask()).id}`, { version: 1, title: 'New' }),
  'task.delete': async (as) => workspace.call(as, 'DELETE', `/tasks/${(await newTask()).id}`),
  'task.restore': async (as) => workspace.call(as, 'POST', `/tasks/${await deleted('tasks', await newTask())}/restore`),
};

const relations = ['member', 'manager', 'admin', 'creator', 'assignee'] as const satisfies Relation[];
const table = (Object.keys(policies) as Action[]).flatMap((action) => relations.map((as) => [action, as] as const));

describe('the policy table', () => {
  test.each(table)('%s as %s', async (action, as) => {
    const grants: Partial<Record<Relation, true | readonly string[]>> = policies[action];
    const allowed = grants.member === true || grants[as] === true;
    const { status, body } = await requests[action](people[as]);
    if (allowed) expect([200, 201, 204]).toContain(status);
    else expect({ status, code: body.code }).toEqual({ status: 403, code: 'FORBIDDEN' });
  });

  // What a field is changed to; all that a change may name.
  const changes: Record<string, () => unknown> = {
    title: () => 'New',
    description: () => 'New',
    status: () => 'done',
    priority: () => 'high',
    assigneeId: () => people.member.userId,
    dueDate: () => '2026-12-24',
    projectId: async () => (await newProject()).id,
  };

  test.each(Object.keys(changes))('task.change of %s as assignee', async (field) => {
    const { id } = await newTask();
    const body = { version: 1, [field]: await changes[field]!() };
    const answer = await workspace.call(people.assignee, 'PATCH', `/tasks/${id}`, body);
    if ((policies['task.change'].assignee as readonly string[]).includes(field)) {
      expect(answer).toMatchObject({ status: 200, body: { version: 2 } });
      return;
    }
    expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN', details: [{ path: `body.${field}` }] } });
    expect((await workspace.call(admin, 'GET', `/tasks/${id}`)).body.version).toBe(1);
  });

  test('an assignee may send the whole task back with another status; one more difference refuses all of it', async () => {
    const task = await newTask();
    const whole = { ...task, status: 'in_progress' };
    const path = `/tasks/${task.id}`;
    const refused = await workspace.call(people.assignee, 'PATCH', path, { ...whole, priority: 'low', title: 'New' });
    expect(refused.body.details.map((detail: { path: string }) => detail.path)).toEqual([
      'body.title',
      'body.priority',
    ]);
    expect((await workspace.call(people.assignee, 'PATCH', path, whole)).body).toMatchObject({
      status: 'in_progress',
      priority: 'medium',
    });
  });

  test('nobody writes with an agent’s key', async () => {
    const agent = workspace.person('admin', { organizationId: admin.organizationId, agentKeyId: 'k' });
    delete (agent as { sessionId?: string }).sessionId;
    for (const action of Object.keys(policies) as Action[]) {
      const { status } = await requests[action](agent);
      expect({ action, status }).toEqual({ action, status: action.endsWith('.read') ? 200 : 403 });
    }
    const members = `/teams/${(await newTeam()).id}/members`;
    expect((await workspace.call(agent, 'GET', members)).status).toBe(403);
    expect((await workspace.call(admin, 'GET', members)).status).toBe(200);
  });

  test('routes for managers and admins alone say so', () => {
    const open = ['createTask', 'createTaskInProject', 'changeTask', 'deleteTask', 'restoreTask'];
    const writes = workspace.routes.filter(({ method }) => method !== 'get');
    for (const { operationId, access, roles } of writes) {
      expect({ operationId, access, roles }).toEqual({
        operationId,
        access: 'session',
        roles: open.includes(operationId) ? undefined : ['admin', 'manager'],
      });
    }
  });
});
