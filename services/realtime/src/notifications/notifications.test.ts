import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Consumer } from '@worktide/event-log';
import { readsOf, tablesWithoutTenantPolicy, tenantTransaction } from '@worktide/postgres';
import { createLifecycle, createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import type { AlertState, Notification, WorkspaceRecord } from '@worktide/schemas';
import { expectStatus, until } from '@worktide/testing';
import { type Person, startWorld, taskState, type World } from '../told/testing.ts';
import { followForNotifications, group, newsMs } from './consumer.ts';
import { type MailDigest, mailDigests } from './digest.ts';
import { tellDueTasks } from './due.ts';
import { mornings } from './mornings.ts';
import { keptEach, removeOldNotifications } from './retention.ts';
import { notificationRoutes } from './routes.ts';
import { countUnread } from './store.ts';
import { createTeller, notificationMetrics } from './tell.ts';

const log = silentLogger();
let world: World;
let call: Awaited<ReturnType<World['serve']>>;
const lifecycle = createLifecycle({ log });
const metrics = createMetrics();
const counted = notificationMetrics(metrics);
let consumer: Consumer;
let teller: ReturnType<typeof createTeller>;
/** What time it is for the consumer. */
let now = Date.now;

const follow = () =>
  followForNotifications({ ...world, teller, now: () => now() }).then((started) => {
    consumer = started;
  });

beforeAll(async () => {
  world = await startWorld();
  teller = createTeller({
    pool: world.pool,
    metrics: counted,
    push: (pushes) => void world.pushed.push(...pushes),
  });
  call = await world.serve(notificationRoutes(world.pool, readsOf(world.pool)), { lifecycle, metrics });
  await follow();
});
afterAll(async () => {
  await consumer?.close();
  await lifecycle.close();
  await world?.close();
});
afterEach(() => {
  now = Date.now;
});

const listOf = async (
  who: Person,
  query = '',
): Promise<{ items: Notification[]; unread: number; nextCursor: string }> =>
  expectStatus(await call(who, 'get', `/notifications${query}`), 200);
const untilTold = (who: Person, count = 1) =>
  until(`${count} notifications`, async () => {
    const { items } = await listOf(who);
    return items.length >= count && items;
  });
const pushedTo = (who: Person) => world.pushed.filter(({ userId }) => userId === who.userId);
const colleague = (of: Person, role?: Person['role'], more: Partial<Person> = {}) =>
  world.person(role, { organizationId: of.organizationId, ...more });

function assignment(by: Person, to: Person, from: Person | null = null): WorkspaceRecord {
  const task = taskState({ assigneeId: to.userId, version: 2 });
  return {
    organizationId: by.organizationId,
    actorId: by.userId,
    events: [task],
    happened: [
      {
        type: 'task.assigned',
        id: task.id,
        version: 2,
        assigneeId: to.userId,
        previousAssigneeId: from?.userId ?? null,
      },
    ],
  };
}
const sendAssignment = (record: WorkspaceRecord) => world.send('workspace-events', record.organizationId, record);
const alertState = (more: Partial<AlertState> = {}): AlertState => ({
  id: uuidv7(),
  type: 'idle',
  date: '2026-11-20',
  timeEntryId: null,
  message: 'No activity for 6 minutes.',
  createdAt: Date.now(),
  resolvedAt: null,
  resolvedBy: null,
  version: 1,
  ...more,
});
/** Until all that was sent before has been handled. */
const settled = () => until('all is read', async () => (await consumer.lag()) === 0);

describe('people are told', () => {
  test('of a task that is theirs now, and that it is theirs no longer; not of what they did themselves', async () => {
    const manager = await world.person('manager');
    const [ada, bob] = [await colleague(manager), await colleague(manager)];
    const record = assignment(manager, ada, bob);
    await sendAssignment(record);
    const [own] = await untilTold(ada);
    expect(own).toEqual({
      id: expect.any(String),
      type: 'task.assigned',
      title: 'A task is yours now',
      body: 'Write it down',
      link: `/tasks/${record.events[0]!.id}`,
      createdAt: expect.any(String),
      readAt: null,
    });
    expect(await untilTold(bob)).toMatchObject([{ type: 'task.reassigned' }]);
    expect(pushedTo(ada)).toEqual([
      { organizationId: ada.organizationId, userId: ada.userId, payload: { ...own, at: own!.createdAt } },
    ]);
    await sendAssignment(assignment(ada, ada));
    await settled();
    expect((await listOf(manager)).items).toEqual([]);
    expect((await listOf(ada)).items).toHaveLength(1);
  });

  test('of alerts about them; managers, admins and who leads them of theirs, and nobody else', async () => {
    const ada = await world.person('employee', { name: 'Ada' });
    const admin = await colleague(ada, 'admin');
    const manager = await colleague(ada, 'manager');
    const lead = await colleague(ada);
    const other = await colleague(ada);
    const stranger = await world.person('manager');
    const team = { type: 'team', id: uuidv7(), version: 1, deleted: false, projectId: null, name: 'Night' } as const;
    const members = { memberIds: [ada.userId, lead.userId], leadIds: [lead.userId] };
    await world.send('workspace-events', ada.organizationId, {
      organizationId: ada.organizationId,
      actorId: null,
      events: [{ ...team, ...members }],
    });
    await settled();
    const { organizationId, userId } = ada;
    const open = alertState();
    await world.send('alerts', userId, { organizationId, userId, alerts: [open] });
    expect(await untilTold(ada)).toMatchObject([{ type: 'alert.own', body: open.message, link: `/alerts/${open.id}` }]);
    for (const who of [admin, manager, lead]) {
      expect(await untilTold(who)).toMatchObject([{ type: 'alert.team', title: 'An alert about Ada' }]);
    }
    // It resolves itself, and is open again: that is no other alert. One that is resolved when it is told of is no news.
    const again = { ...open, version: 3 };
    const resolved = alertState({ resolvedAt: Date.now() });
    await world.send('alerts', userId, { organizationId, userId, alerts: [{ ...open, resolvedAt: 1, version: 2 }] });
    await world.send('alerts', userId, { organizationId, userId, alerts: [again, resolved] });
    await settled();
    for (const who of [ada, manager]) expect((await listOf(who)).items).toHaveLength(1);
    for (const who of [other, stranger]) expect((await listOf(who)).items).toEqual([]);
    // A manager is told of their own as themselves alone.
    await world.send('alerts', manager.userId, { organizationId, userId: manager.userId, alerts: [alertState()] });
    await until('both', async () => (await listOf(admin)).items.length === 2);
    expect((await listOf(manager)).items.map(({ type }) => type)).toEqual(['alert.own', 'alert.team']);
  });

  test('of an invitation that was accepted, and of exports that are ready or have failed', async () => {
    const { organizationId, ...admin } = await world.person('admin');
    const guest = uuidv7();
    const person = {
      name: 'Guest',
      role: 'employee',
      status: 'active',
      timezone: 'UTC',
      version: 9,
      deleted: false,
    } as const;
    await world.send('people', organizationId, {
      organizationId,
      events: [{ type: 'person', id: guest, ...person }],
      happened: [{ type: 'invitation.accepted', id: uuidv7(), userId: guest, invitedBy: admin.userId }],
    });
    const made = { report: 'usage', format: 'csv', fileName: 'usage.csv', rows: 1, bytes: 1, settledAt: 1 } as const;
    await world.send('exports', admin.userId, {
      organizationId,
      userId: admin.userId,
      exports: [
        { id: uuidv7(), ...made, status: 'ready', failureCode: null },
        { id: uuidv7(), ...made, status: 'failed', failureCode: 'EXPORT_FAILED' },
      ],
    });
    const items = await untilTold({ ...admin, organizationId }, 3);
    expect(items.map(({ type, title, body }) => [type, title, body]).sort()).toEqual([
      ['export.failed', 'Your export has failed', 'usage.csv'],
      ['export.ready', 'Your export is ready', 'usage.csv'],
      ['invitation.accepted', 'Guest has accepted your invitation', ''],
    ]);
  });
});

describe('once', () => {
  test('all topics read again from their beginning tell nobody again, and push nothing', async () => {
    const ada = await world.person();
    const boss = await colleague(ada, 'manager');
    const { organizationId, userId } = ada;
    const record = assignment(boss, ada);
    // Twice already by its writer: an outbox publishes again after a crash.
    await sendAssignment(record);
    await sendAssignment(record);
    await world.send('alerts', userId, { organizationId, userId, alerts: [alertState()] });
    await untilTold(ada, 2);
    await settled();
    const before = [await listOf(ada), await listOf(boss)];
    const pushed = world.pushed.length;
    await consumer.close();
    for (const topic of ['workspace-events', 'alerts', 'people', 'exports']) {
      await world.eventLog.admin.resetGroup(group, topic, 'earliest');
    }
    await follow();
    await settled();
    expect([await listOf(ada), await listOf(boss)]).toEqual(before);
    expect(world.pushed).toHaveLength(pushed);
  });

  test('what a transaction notes is pushed after its commit, and by one that ends otherwise nothing is', async () => {
    const boss = await world.person('manager');
    const ada = await colleague(boss);
    const { admin } = world.database;
    // Fails at the commit, when all statements have gone well.
    await admin.query(`CREATE FUNCTION realtime.refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57P01'; END $$`);
    await admin.query(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON realtime.notifications
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION realtime.refuse()`);
    try {
      await sendAssignment(assignment(boss, ada));
      await until('it was refused', () => consumer.state === 'retrying');
      expect(pushedTo(ada)).toEqual([]);
      expect((await listOf(ada)).items).toEqual([]);
    } finally {
      await admin.query('DROP TRIGGER refuse ON realtime.notifications');
      await admin.query('DROP FUNCTION realtime.refuse');
    }
    await untilTold(ada);
    await until('the push', () => pushedTo(ada).length > 0);
    expect(pushedTo(ada)).toHaveLength(1);
  });

  test('what has lain on the log for days is no news, but what is known of tasks is taken', async () => {
    const boss = await world.person('manager');
    const ada = await colleague(boss);
    now = () => Date.now() + newsMs + 60_000;
    const record = assignment(boss, ada);
    await sendAssignment(record);
    await settled();
    expect((await listOf(ada)).items).toEqual([]);
    const { rows } = await world.pool.query('SELECT title FROM realtime.known_tasks WHERE task_id = $1', [
      record.events[0]!.id,
    ]);
    expect(rows).toEqual([{ title: 'Write it down' }]);
  });
});

describe('what is due tomorrow', () => {
  const noon = Date.parse('2027-03-27T12:00:00Z');
  const tell = (at: number) => tellDueTasks({ pool: world.pool, teller }, at);
  async function task(of: Person, dueDate: string, more: object = {}) {
    const state = taskState({ assigneeId: of.userId, dueDate, ...more });
    const { organizationId } = of;
    await world.send('workspace-events', organizationId, { organizationId, actorId: null, events: [state] });
    await settled();
    return state;
  }

  test('is told in the morning of the day before, in the zone of whoever has it, once', async () => {
    const [apia, honolulu] = [
      await world.person('employee', { timezone: 'Pacific/Apia' }),
      await world.person('employee', { timezone: 'Pacific/Honolulu' }),
    ];
    // Noon of the 27th by UTC is the 28th, 01:00, in Apia, and the 27th, 02:00, in Honolulu.
    await task(apia, '2027-03-29');
    const late = await task(honolulu, '2027-03-28');
    await tell(noon);
    expect((await listOf(apia)).items).toEqual([]);
    const morningInApia = noon + 8 * 3_600_000;
    await tell(morningInApia);
    await tell(morningInApia + 600_000);
    expect((await listOf(apia)).items).toMatchObject([{ type: 'task.due', body: 'Write it down' }]);
    // In Honolulu it is ten in the morning by then.
    expect((await listOf(honolulu)).items).toMatchObject([{ type: 'task.due', link: `/tasks/${late.id}` }]);
    expect(pushedTo(apia)).toHaveLength(1);
    // Put off by a day, it is due on another day.
    await task(honolulu, '2027-03-29', { id: late.id, version: 2 });
    await tell(morningInApia + 86_400_000);
    expect((await listOf(honolulu)).items).toHaveLength(2);
  });

  test('an instant is due on the local day that it lies in, also where that has 23 hours', async () => {
    // Clocks go forward on the 28th.
    const berlin = await world.person('employee', { timezone: 'Europe/Berlin' });
    await task(berlin, '2027-03-27T22:59:59.000Z');
    const within = await task(berlin, '2027-03-28T21:59:59.000Z');
    await task(berlin, '2027-03-28T22:00:00.000Z');
    await tell(noon);
    expect((await listOf(berlin)).items.map(({ link }) => link)).toEqual([`/tasks/${within.id}`]);
  });

  test('nobody is told of what is done, deleted, or of a deleted project', async () => {
    const ada = await world.person();
    const day = '2027-03-28';
    await task(ada, day, { status: 'done' });
    await task(ada, day, { deleted: true });
    const { projectId } = await task(ada, day);
    const { organizationId } = ada;
    const project = { type: 'project', id: projectId, version: 2, deleted: true, name: 'P', status: 'active' } as const;
    await world.send('workspace-events', organizationId, { organizationId, actorId: null, events: [project] });
    await settled();
    // A replay of what was before changes nothing.
    const before = { ...project, version: 1, deleted: false };
    await world.send('workspace-events', organizationId, { organizationId, actorId: null, events: [before] });
    await settled();
    await tell(noon);
    expect((await listOf(ada)).items).toEqual([]);
  });

  test('zones that nobody knows are UTC', () => {
    expect(mornings(['Mars/Olympus'], noon)).toMatchObject([
      { zone: 'Mars/Olympus', tomorrow: { date: '2027-03-28' } },
    ]);
  });
});

describe('the list', () => {
  test('goes on by cursor, knows read from unread, and is nobody else’s', async () => {
    const boss = await world.person('manager');
    const [ada, bob] = [await colleague(boss), await colleague(boss)];
    for (let i = 0; i < 3; i++) await sendAssignment(assignment(boss, ada));
    await sendAssignment(assignment(boss, bob));
    const [bobs] = await untilTold(bob);
    const items = await untilTold(ada, 3);
    const first = await listOf(ada, '?limit=2');
    const rest = await listOf(ada, `?limit=2&cursor=${first.nextCursor}`);
    expect([...first.items, ...rest.items]).toEqual(items);
    expect([first.unread, rest.nextCursor]).toEqual([3, null]);
    const cursor = (path: string) => call(bob, 'get', path);
    expect(await cursor(`/notifications?cursor=${first.nextCursor}`)).toMatchObject({ status: 400 });

    const read = (who: Person, body: object) => call(who, 'post', '/notifications/read', body);
    const one = await read(ada, { ids: [items[0]!.id, bobs!.id, uuidv7()] });
    expect([one.status, one.body]).toEqual([200, { unread: 2 }]);
    expect((await listOf(bob)).unread).toBe(1);
    const { readAt } = (await listOf(ada, '?state=read')).items[0]!;
    expect(readAt).toEqual(expect.any(String));
    expect((await listOf(ada, '?state=unread')).items).toHaveLength(2);
    expect((await read(ada, { all: true })).body).toEqual({ unread: 0 });
    // What was read stays read when it was.
    expect((await listOf(ada, '?state=read')).items.find(({ id }) => id === items[0]!.id)!.readAt).toBe(readAt);
    expect(await countUnread(world.pool, ada)).toBe(0);
    for (const body of [{}, { ids: [] }, { all: false }, { ids: [items[0]!.id], all: true }, { ids: ['x'] }]) {
      expect((await read(ada, body)).status).toBe(400);
    }
    expect((await call(undefined, 'get', '/notifications')).status).toBe(401);
  });

  test('in the database a tenant sees its own rows alone, and writes none', async () => {
    expect(await tablesWithoutTenantPolicy(world.database.admin, 'realtime')).toEqual([]);
    const boss = await world.person('manager');
    const ada = await colleague(boss);
    await sendAssignment(assignment(boss, ada));
    await untilTold(ada);
    const seen = await tenantTransaction(world.pool, boss.organizationId, (client) =>
      client.query('SELECT DISTINCT organization_id FROM realtime.notifications'),
    );
    expect(seen.rows).toEqual([{ organization_id: boss.organizationId }]);
    const write = tenantTransaction(world.pool, boss.organizationId, (client) =>
      client.query('DELETE FROM realtime.notifications'),
    );
    await expect(write).rejects.toMatchObject({ cause: { code: '42501' } });
  });
});

describe('a digest', () => {
  type Mail = Parameters<MailDigest>[0];
  const mailed = async (at: number, fail?: Error): Promise<Mail[]> => {
    const mails: Mail[] = [];
    const mail = async (one: Mail) => {
      if (fail) throw fail;
      mails.push(one);
    };
    await mailDigests({ pool: world.pool, mail, metrics: counted }, at);
    return mails;
  };
  /** Tomorrow at noon by UTC, where everybody of this test is. */
  const noon = Date.parse(`${new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)}T12:00:00Z`);

  test('comes in the morning to who asked for it, once a day, and holds what is new and not read', async () => {
    const boss = await world.person('manager');
    const [ada, bob] = [await colleague(boss), await colleague(boss)];
    const settings = (who: Person, body: object) => call(who, 'put', '/notifications/settings', body);
    expect((await call(ada, 'get', '/notifications/settings')).body).toEqual({ digest: 'off' });
    await sendAssignment(assignment(boss, ada));
    const [old] = await untilTold(ada);
    expect((await settings(ada, { digest: 'daily' })).body).toEqual({ digest: 'daily' });
    expect((await settings(ada, { digest: 'hourly' })).status).toBe(400);
    for (let i = 0; i < 23; i++) await sendAssignment(assignment(boss, ada));
    await sendAssignment(assignment(boss, bob));
    const items = await untilTold(ada, 24);
    await untilTold(bob);
    await call(ada, 'post', '/notifications/read', { ids: [items[0]!.id] });

    expect(await mailed(noon - 6 * 3_600_000)).toEqual([]);
    // Auth is away: nothing is noted, and another asks once the lease is over.
    await expect(mailed(noon, new Error('away'))).rejects.toThrow('away');
    expect(await mailed(noon)).toEqual([]);
    await world.pool.query("UPDATE realtime.notification_settings SET digest_lease = '-infinity'");
    const [mail, ...others] = await mailed(noon);
    expect(others).toEqual([]);
    expect(mail).toMatchObject({ organizationId: ada.organizationId, userId: ada.userId, more: 2 });
    expect(mail!.items).toHaveLength(20);
    expect(mail!.items.map(({ link }) => link)).not.toContain(old!.link);
    expect(mail!.items.map(({ link }) => link)).not.toContain(items[0]!.link);
    expect(await mailed(noon + 3_600_000)).toEqual([]);
    // Nothing new: no mail on the next day.
    expect(await mailed(noon + 86_400_000)).toEqual([]);
    await settings(ada, { digest: 'off' });
  });
});

test('kept are ninety days, of each person a thousand, and what a replay may bring again in any case', async () => {
  const ada = await world.person();
  const insert = (count: number, daysAgo: number) =>
    world.database.admin.query(
      `INSERT INTO realtime.notifications (organization_id, id, user_id, type, title, body, link, created_at)
       SELECT $1, gen_random_uuid(), $2, 'task.due', '', '', '', now() - $4 * interval '1 day' FROM generate_series(1, $3)`,
      [ada.organizationId, ada.userId, count, daysAgo],
    );
  await insert(keptEach + 5, 3);
  await insert(7, 20);
  await insert(3, 91);
  expect(await removeOldNotifications(world.pool, counted)).toBe(false);
  expect(await countUnread(world.pool, ada)).toBe(keptEach + 5);
});
