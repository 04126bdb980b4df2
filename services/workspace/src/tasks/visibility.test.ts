import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import type { Task } from '@worktide/schemas';
import fc from 'fast-check';
import {
  allPages,
  type Person,
  type Running,
  startWorkspace,
  type TestDatabase,
  workspaceDatabase,
} from '../testing.ts';

/** The setting `taskVisibility`: which tasks there are for whom, by every way to them. */

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

type Visibility = 'organization' | 'own';
interface World {
  people: Person[];
  manager: Person;
  projectId: string;
  /** As they are; some are deleted. */
  tasks: (Task & { gone: boolean })[];
  visibility: Visibility;
}
/** Numbers of people: the manager is 0, the employees are 1 to 3. */
interface Plan {
  creator: number;
  assignee: number | null;
  gone: boolean;
}

async function build(plans: Plan[], visibility: Visibility): Promise<World> {
  const manager = workspace.person('manager');
  const { organizationId } = manager;
  const people = [manager, ...[1, 2, 3].map(() => workspace.person('employee', { organizationId }))];
  const projectId = (await workspace.call(manager, 'POST', '/projects', { name: 'P' })).body.id;
  const tasks: World['tasks'] = [];
  for (const { creator, assignee, gone } of plans) {
    const assigneeId = assignee === null ? null : people[assignee]!.userId;
    const made = await workspace.call(people[creator], 'POST', '/tasks', {
      projectId,
      title: 'secret plan',
      assigneeId,
    });
    expect(made.status).toBe(201);
    if (gone) expect((await workspace.call(manager, 'DELETE', `/tasks/${made.body.id}`)).status).toBe(204);
    tasks.push({ ...made.body, gone });
  }
  workspace.settings.set(organizationId, { taskVisibility: visibility });
  return { people, manager, projectId, tasks, visibility };
}

const isThere = ({ visibility }: World, as: Person, task: Task): boolean =>
  as.role !== 'employee' || visibility === 'organization' || [task.creatorId, task.assigneeId].includes(as.userId);
const idsOf = (tasks: readonly { id: string }[]): string[] => tasks.map(({ id }) => id).sort();
const get = async (as: Person, path: string) => (await workspace.call(as, 'GET', path)).body;

/** Lists give what is there and passes, and nothing else. */
async function listed(world: World, as: Person, path: string): Promise<void> {
  const there = world.tasks.filter((task) => !task.gone && isThere(world, as, task));
  const having = async (query: string, passes: (task: Task) => boolean) =>
    expect(idsOf(await allPages(workspace, as, `${path}?limit=2${query}`))).toEqual(idsOf(there.filter(passes)));
  await having('', () => true);
  await having('&search=secret', () => true);
  await having('&status=todo&search=pl', () => true);
  for (const { userId } of world.people) {
    await having(`&assigneeId=${userId}`, ({ assigneeId }) => assigneeId === userId);
    await having(`&creatorId=${userId}`, ({ creatorId }) => creatorId === userId);
  }
}

/** What is not there answers as what never was; what is there does not. */
async function only(world: World, as: Person, gone: boolean, method: string, rest = '', body?: object): Promise<void> {
  const ask = (id: string) => workspace.call(as, method, `/tasks/${id}${rest}`, body);
  const never = await ask(uuidv7());
  expect(never.status).toBe(404);
  const { code, message } = never.body;
  for (const task of world.tasks.filter((each) => each.gone === gone)) {
    const isForeign = !isThere(world, as, task);
    // What would change something is asked only for what is foreign.
    if (!isForeign && method !== 'GET' && !(method === 'PATCH')) continue;
    const answer = await ask(task.id);
    if (isForeign) expect(answer).toMatchObject({ status: 404, body: { code, message } });
    else expect(answer.status).not.toBe(404);
  }
}

/** By operation. A route of tasks that is not here fails the test. */
const walks: Record<string, (world: World, as: Person) => Promise<void>> = {
  listTasks: (world, as) => listed(world, as, '/tasks'),
  listTasksOfProject: (world, as) => listed(world, as, `/projects/${world.projectId}/tasks`),
  taskStats: async (world, as) => {
    const there = world.tasks.filter((task) => !task.gone && isThere(world, as, task));
    const unassigned = there.filter(({ assigneeId }) => assigneeId === null).length;
    for (const query of ['', '?search=secret']) {
      expect(await get(as, `/tasks/stats${query}`)).toMatchObject({ total: there.length, unassigned });
    }
  },
  getTask: (world, as) => only(world, as, false, 'GET'),
  // An old version: of what is there 409 or 403, and nothing is changed.
  changeTask: async (world, as) => {
    await only(world, as, false, 'PATCH', '', { version: 77, title: 'Taken over' });
    await only(world, as, false, 'PATCH', '', { version: 77, assigneeId: as.userId });
  },
  deleteTask: (world, as) => only(world, as, false, 'DELETE'),
  restoreTask: (world, as) => only(world, as, true, 'POST', '/restore'),
  // They answer with what was given to them.
  createTask: async () => {},
  createTaskInProject: async () => {},
};

test('every route of tasks is walked', () => {
  const routes = workspace.routes.filter(({ path }) => path.includes('/tasks'));
  expect(Object.keys(walks).sort()).toEqual(routes.map(({ operationId }) => operationId).sort());
});

const plan = fc.record({
  creator: fc.nat({ max: 3 }),
  assignee: fc.option(fc.nat({ max: 3 })),
  gone: fc.boolean(),
});
test.each<Visibility>(['own', 'organization'])(
  '%s: whatever the tasks, each has theirs by every route, managers all',
  async (visibility) => {
    const plans = fc.array(plan, { minLength: 4, maxLength: 10 });
    const property = fc.asyncProperty(plans, async (made) => {
      const world = await build(made, visibility);
      for (const as of world.people) for (const walk of Object.values(walks)) await walk(world, as);
      // And nothing has changed.
      for (const { gone, ...task } of world.tasks) {
        if (!gone) expect(await get(world.manager, `/tasks/${task.id}`)).toEqual(task);
      }
    });
    await fc.assert(property, { numRuns: 5 });
  },
  120_000,
);

describe('own', () => {
  let world: World;
  let mine: Task;
  let employee: Person;
  let other: Person;
  beforeEach(async () => {
    world = await build([{ creator: 0, assignee: 1, gone: false }], 'own');
    [, employee, other] = world.people as [Person, Person, Person];
    mine = world.tasks[0]!;
  });

  test('a task comes and goes with its assignment', async () => {
    const { manager } = world;
    const hand = (assigneeId: string | null, version: number) =>
      workspace.call(manager, 'PATCH', `/tasks/${mine.id}`, { assigneeId, version });
    const status = async (as: Person) => (await workspace.call(as, 'GET', `/tasks/${mine.id}`)).status;
    expect([await status(employee), await status(other)]).toEqual([200, 404]);
    await hand(other.userId, 1);
    expect([await status(employee), await status(other)]).toEqual([404, 200]);
    await hand(null, 2);
    expect([await status(employee), await status(other), await status(manager)]).toEqual([404, 404, 200]);
  });

  test("an agent's key of a manager sees what is its person's, as an employee", async () => {
    const { manager } = world;
    const { organizationId } = manager;
    const agent = workspace.person('manager', { organizationId, agentKeyId: 'k' });
    delete (agent as { sessionId?: string }).sessionId;
    expect((await get(agent, '/tasks')).items).toEqual([]);
    expect((await get(manager, '/tasks')).items).toHaveLength(1);
  });

  test('back at the default everybody sees everything', async () => {
    expect((await get(other, '/tasks')).items).toEqual([]);
    workspace.settings.delete(employee.organizationId);
    expect((await get(other, '/tasks')).items).toHaveLength(1);
  });
});

test('where the setting cannot be known employees are told to come back, and managers go on', async () => {
  const world = await build([{ creator: 1, assignee: null, gone: false }], 'organization');
  const [manager, employee] = world.people as [Person, Person];
  workspace.away.settings = true;
  try {
    for (const path of [
      '/tasks',
      '/tasks/stats',
      `/tasks/${world.tasks[0]!.id}`,
      `/projects/${world.projectId}/tasks`,
    ]) {
      const answer = await workspace.call(employee, 'GET', path);
      expect(answer).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
      expect((await workspace.call(manager, 'GET', path)).status).toBe(200);
    }
    // What is no task has nothing to do with it.
    expect((await workspace.call(employee, 'GET', '/projects')).status).toBe(200);
  } finally {
    workspace.away.settings = false;
  }
});
