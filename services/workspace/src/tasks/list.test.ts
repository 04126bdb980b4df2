import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import type { Task, TaskFilters } from '@worktide/schemas';
import fc from 'fast-check';
import {
  allPages,
  type Person,
  type Running,
  startWorkspace,
  type TestDatabase,
  workspaceDatabase,
} from '../testing.ts';
import { rewordTasks } from './reword.ts';

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

const project = async (as: Person, name: string): Promise<string> =>
  (await workspace.call(as, 'POST', '/projects', { name })).body.id;
const task = async (as: Person, projectId: string, body: object): Promise<Task> => {
  const answer = await workspace.call(as, 'POST', '/tasks', { projectId, title: 't', ...body });
  expect(answer.status).toBe(201);
  return answer.body;
};
const search = async (as: Person, text: string): Promise<string[]> => {
  const answer = await workspace.call(as, 'GET', `/tasks?search=${encodeURIComponent(text)}`);
  expect({ text, status: answer.status }).toEqual({ text, status: 200 });
  return answer.body.items.map(({ title }: Task) => title).sort();
};

describe('pages', () => {
  const words = ['apple', 'banana', 'cherry'];
  let me: Person;
  let tasks: Task[];
  let projects: string[];

  beforeAll(async () => {
    me = workspace.person('admin', { timezone: 'Asia/Kathmandu' });
    const people = [me, workspace.person('employee', { organizationId: me.organizationId })];
    projects = [await project(me, 'A'), await project(me, 'B')];
    const stranger = workspace.person('manager');
    const foreign = await project(stranger, 'A');
    tasks = [];
    for (let i = 0; i < 60; i++) {
      const pick = <T>(list: readonly T[], salt: number): T => list[(i * 7 + salt * 13 + (i >> salt)) % list.length]!;
      const body = {
        title: `${pick(words, 1)} ${pick(words, 2)}`,
        status: pick(['todo', 'in_progress', 'done'], 3),
        priority: pick(['low', 'medium', 'high'], 4),
        assigneeId: pick([null, ...people.map(({ userId }) => userId)], 5),
        dueDate: pick([null, '2020-01-01', '2020-01-01T00:00:00Z', '2199-01-01'], 6),
      };
      tasks.push(await task(pick(people, 2), pick(projects, 1), body));
      if (i % 5 === 0) await task(stranger, foreign, { ...body, assigneeId: null });
    }
    for (const { id } of tasks.splice(0, 5)) await workspace.call(me, 'DELETE', `/tasks/${id}`);
  });

  const filters = (): fc.Arbitrary<TaskFilters> => {
    const some = <T>(...values: T[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
    const users = [...new Set(tasks.map(({ creatorId }) => creatorId)), uuidv7()];
    return fc.record({
      status: some('todo', 'in_progress', 'done'),
      priority: some('low', 'medium', 'high'),
      assigneeId: some(...users),
      creatorId: some(...users),
      projectId: some(...projects),
      search: some('apple', 'ban', 'cherry app', 'x', ''),
    }) as fc.Arbitrary<TaskFilters>;
  };

  /** The rule once more, the slow way. */
  function passes(candidate: Task, { search: text = '', ...equal }: TaskFilters): boolean {
    const has = candidate.title.split(' ');
    const wanted = text.split(' ').filter((word) => word !== '');
    return (
      Object.entries(equal).every(([name, value]) => value === undefined || candidate[name as keyof Task] === value) &&
      wanted.every((word, i) => has.some((w) => (i === wanted.length - 1 ? w.startsWith(word) : w === word)))
    );
  }
  const queryOf = (asked: TaskFilters) =>
    new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== undefined) as [string, string][]);

  test('give each task that passes exactly once, newest first, whatever the filters and the size', async () => {
    const property = fc.asyncProperty(filters(), fc.integer({ min: 1, max: 70 }), async (asked, limit) => {
      const got = await allPages(workspace, me, `/tasks?limit=${limit}&${queryOf(asked)}`);
      const expected = tasks.filter((candidate) => passes(candidate, asked));
      expect(got).toEqual(expected.sort((a, b) => (a.id < b.id ? 1 : -1)));
    });
    await fc.assert(property, { numRuns: 60 });
  });

  test('stats count what passes', async () => {
    const property = fc.asyncProperty(filters(), async (asked) => {
      const { body } = await workspace.call(me, 'GET', `/tasks/stats?${queryOf(asked)}`);
      const expected = tasks.filter((candidate) => passes(candidate, asked));
      const count = (condition: (t: Task) => boolean) => expected.filter(condition).length;
      const open = (t: Task) => t.status !== 'done';
      expect(body).toEqual({
        total: expected.length,
        byStatus: {
          todo: count((t) => t.status === 'todo'),
          in_progress: count((t) => t.status === 'in_progress'),
          done: count((t) => t.status === 'done'),
        },
        byPriority: {
          low: count((t) => t.priority === 'low'),
          medium: count((t) => t.priority === 'medium'),
          high: count((t) => t.priority === 'high'),
        },
        overdue: count((t) => open(t) && t.dueDate !== null && t.dueDate < '2026'),
        unassigned: count((t) => open(t) && t.assigneeId === null),
      });
    });
    await fc.assert(property, { numRuns: 40 });
  });

  test('a task made or deleted between two pages moves no other', async () => {
    const first = (await workspace.call(me, 'GET', '/tasks?limit=10')).body;
    const added = await task(me, projects[0]!, {});
    await workspace.call(me, 'DELETE', `/tasks/${first.items[3].id}`);
    const rest = await allPages(workspace, me, `/tasks?limit=10`).then((items) => items.map(({ id }) => id));
    const second = (await workspace.call(me, 'GET', `/tasks?limit=10&cursor=${first.nextCursor}`)).body.items;
    expect(second.map(({ id }: Task) => id)).toEqual(rest.slice(10, 20));
    expect(second.map(({ id }: Task) => id)).not.toContain(added.id);
    await workspace.call(me, 'POST', `/tasks/${first.items[3].id}/restore`);
    await workspace.call(me, 'DELETE', `/tasks/${added.id}`);
  });

  test('a cursor of another list, other filters, another organisation, or of nobody is 400', async () => {
    const { nextCursor } = (await workspace.call(me, 'GET', '/tasks?limit=1&status=todo')).body;
    const stranger = workspace.person('admin');
    const own = await project(stranger, 'Own');
    await task(stranger, own, { status: 'todo' });
    const refused: [Person, string][] = [
      [me, `/tasks?limit=1&cursor=${nextCursor}`],
      [me, `/tasks?limit=1&status=done&cursor=${nextCursor}`],
      [me, `/tasks?status=todo&search=apple&cursor=${nextCursor}`],
      [me, `/projects?cursor=${nextCursor}`],
      [me, `/projects/${projects[0]}/tasks?status=todo&cursor=${nextCursor}`],
      [stranger, `/tasks?limit=1&status=todo&cursor=${nextCursor}`],
      [me, '/tasks?cursor=abc'],
      [me, `/tasks?status=todo&cursor=${nextCursor}A`],
      [me, `/tasks?status=todo&cursor=${nextCursor.replace(/^./, (c: string) => (c === 'A' ? 'B' : 'A'))}`],
    ];
    for (const [as, path] of refused) {
      expect({ path, ...(await workspace.call(as, 'GET', path)) }).toMatchObject({
        status: 400,
        body: { code: 'INVALID_CURSOR' },
      });
    }
    expect((await workspace.call(me, 'GET', `/tasks?limit=7&status=todo&cursor=${nextCursor}`)).status).toBe(200);
  });

  test('a day is late when it is over where the caller is', async () => {
    const east = workspace.person('manager', { timezone: 'Pacific/Kiritimati' });
    const west = workspace.person('manager', { organizationId: east.organizationId, timezone: 'Etc/GMT+12' });
    const id = await project(east, 'P');
    const yesterdayInTheEast = new Date(Date.now() + 14 * 3_600_000 - 86_400_000).toISOString().slice(0, 10);
    await task(east, id, { dueDate: yesterdayInTheEast });
    const overdue = async (as: Person) => (await workspace.call(as, 'GET', '/tasks/stats')).body.overdue;
    expect([await overdue(east), await overdue(west)]).toEqual([1, 0]);
  });
});

describe('search', () => {
  test('finds words of title and description, in any order and case, the last by its beginning', async () => {
    const me = workspace.person('manager');
    const id = await project(me, 'P');
    await task(me, id, { title: 'Fix login/logout', description: 'user@example.com says it’s slow in Zürich' });
    await task(me, id, { title: 'Write docs', description: 'how to log in' });
    await task(me, id, { title: '100% sure? "quoted" it\\s & more' });
    expect(await search(me, 'log')).toEqual(['Fix login/logout', 'Write docs']);
    expect(await search(me, 'log ')).toEqual(['Write docs']);
    expect(await search(me, 'ZÜRICH fix')).toEqual(['Fix login/logout']);
    expect(await search(me, 'zu\u0308r')).toEqual(['Fix login/logout']);
    expect(await search(me, 'example')).toEqual(['Fix login/logout']);
    expect(await search(me, 'logout docs')).toEqual([]);
    expect(await search(me, '100 quo')).toHaveLength(1);
    expect(await search(me, '   ')).toHaveLength(3);
    expect(await search(me, '& | ! :* () \' " \\ <->')).toEqual([]);
    expect((await workspace.call(me, 'GET', '/tasks?search=a%00b')).body.code).toBe('VALIDATION_FAILED');
    expect(await search(workspace.person('manager'), 'log')).toEqual([]);
  });

  test('finds parts of what has no spaces, words without their accents, and signs', async () => {
    const me = workspace.person('manager');
    const id = await project(me, 'P');
    for (const title of ['準備搬家了', '列出需要處理的搬家物品', '搬家到新住處']) await task(me, id, { title });
    await task(me, id, { title: 'Café in der Straße 🚀' });
    expect(await search(me, '搬家')).toHaveLength(3);
    expect(await search(me, '搬家物品')).toEqual(['列出需要處理的搬家物品']);
    expect(await search(me, '品')).toEqual(['列出需要處理的搬家物品']);
    for (const text of ['cafe', 'CAFÉ', 'strasse', 'straße', '🚀']) expect(await search(me, text)).toHaveLength(1);
  });

  test('finds tasks of an older rule once they are reworded, and leaves those that are not old', async () => {
    const me = workspace.person('manager');
    const id = await project(me, 'P');
    const old = await task(me, id, { title: 'Straße' });
    await task(me, id, { title: 'New' });
    await workspace.pool.query(
      "UPDATE workspace.tasks SET words_form = 1, words = array_to_tsvector(ARRAY['straße']) WHERE id = $1",
      [old.id],
    );
    expect(await search(me, 'strasse')).toEqual([]);
    expect(await rewordTasks(workspace.pool, new AbortController().signal)).toBe(1);
    expect(await search(me, 'strasse')).toEqual(['Straße']);
    expect(await rewordTasks(workspace.pool, new AbortController().signal)).toBe(0);
    expect((await workspace.call(me, 'GET', `/tasks/${old.id}`)).body).toEqual(old);
  });

  test('follows what a task says now', async () => {
    const me = workspace.person('manager');
    const made = await task(me, await project(me, 'P'), { title: 'Before' });
    await workspace.call(me, 'PATCH', `/tasks/${made.id}`, { version: 1, title: 'After' });
    expect(await search(me, 'before')).toEqual([]);
    expect(await search(me, 'after')).toEqual(['After']);
  });

  test('no text but one with U+0000 is an error', async () => {
    const me = workspace.person('manager');
    await task(me, await project(me, 'P'), { title: 'word' });
    const property = fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 150 }), async (text) => {
      const query = encodeURIComponent(text.slice(0, 200).toWellFormed().replaceAll('\u0000', ''));
      expect((await workspace.call(me, 'GET', `/tasks?search=${query}`)).status).toBe(200);
    });
    await fc.assert(property, { numRuns: 50 });
    for (const text of ['a'.repeat(200), "'".repeat(200), 'a '.repeat(100), '\ufdfa'.repeat(200), ':*', 'a:*', "a'b"]) {
      expect((await workspace.call(me, 'GET', `/tasks?search=${encodeURIComponent(text)}`)).status).toBe(200);
    }
    expect((await workspace.call(me, 'GET', `/tasks?search=${'a'.repeat(201)}`)).status).toBe(400);
  });
});
