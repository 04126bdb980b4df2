import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Caller } from '@worktide/runtime';
import { invalid } from '@worktide/runtime';
import { type TimeEntry, timeEntryHistory } from '@worktide/schemas';
import { type Answer, until } from '@worktide/testing';
import { mergeStreams } from '../store/merge.ts';
import { key, seen, type TestDatabase, trackingDatabase } from '../testing.ts';
import { openTimers, type Timers } from './testing.ts';

let database: TestDatabase;
let timers: Timers;
let ada: Caller;

beforeAll(async () => {
  database = await trackingDatabase();
  timers = await openTimers(database.url);
});
beforeEach(() => {
  ada = timers.person();
  timers.clock.now = null;
});
afterEach(() => {
  timers.workspace = { check: async (_, { projectId }) => projectId };
});
afterAll(async () => {
  await timers?.close();
  await database?.drop();
});

const day = '2026-11-20';
const at = (time: string): number => Date.parse(`${day}T${time}Z`);
const iso = (time: string): string => new Date(at(time)).toISOString();
const post = (path: string, body: unknown = {}, who = ada, headers: Record<string, string> = {}): Promise<Answer> =>
  timers.call(who, 'post', path, { body, headers });
const step = (id: string, name: string, body: unknown = {}, who = ada): Promise<Answer> =>
  timers.call(who, 'put', `/${id}/${name}`, { body });
const get = (path: string, who = ada): Promise<Answer> => timers.call(who, 'get', path);
const patch = (id: string, body: unknown, who = ada): Promise<Answer> => timers.call(who, 'patch', `/${id}`, { body });
const manual = (from: string, to: string, more: object = {}, who = ada): Promise<Answer> =>
  post('/manual', { startTime: iso(from), endTime: iso(to), ...more }, who);
const listed = async (query = '', who = ada): Promise<TimeEntry[]> =>
  (await get(`?from=${day}T00:00:00Z&to=2026-11-22T00:00:00Z${query}`, who)).body.items;
const historyOf = async (id: string): Promise<{ action: string; reason: string | null; actorId: string }[]> =>
  (await get(`/${id}/history`)).body.items;
const refused = ({ status, body }: Answer) => [status, body.code];
const tally = (answers: readonly Answer[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const what = status < 300 ? String(status) : `${status} ${body.code}`;
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
};

/** Steps at their times, by a clock that is set to each. */
async function doneAt(time: string, work: () => Promise<Answer>): Promise<Answer> {
  timers.clock.now = at(time);
  return work();
}

describe('a timer', () => {
  test('worked is its time without pauses: 1,500 s in the answer, the entry and the list', async () => {
    const { status, body } = await doneAt('09:00:00', () => post(''));
    expect(status).toBe(201);
    expect(body).toMatchObject({ kind: 'timer', status: 'RUNNING', userId: ada.userId, version: 1, endTime: null });
    const { id } = body;
    await doneAt('09:10:00', () => step(id, 'pause'));
    await doneAt('09:40:00', () => step(id, 'resume'));
    const paused = await doneAt('09:50:00', () => step(id, 'pause'));
    expect(paused.body).toMatchObject({ status: 'PAUSED', workedSeconds: 1_200 });
    await doneAt('10:00:00', () => step(id, 'resume'));
    const stopped = await doneAt('10:05:00', () => step(id, 'stop'));
    const shown = {
      status: 'STOPPED',
      workedSeconds: 1_500,
      untrackedSeconds: 1_500,
      endTime: iso('10:05:00'),
      version: 6,
    };
    expect(stopped.body).toMatchObject(shown);
    expect((await get(`/${id}`)).body).toEqual(stopped.body);
    expect(await listed()).toEqual([stopped.body]);
    const actions = (await historyOf(id)).map(({ action }) => action);
    expect(actions).toEqual(['started', 'paused', 'resumed', 'paused', 'resumed', 'stopped']);
    const told = await until('six events', async () => {
      const records = await timers.told(ada);
      return records.length === 6 && records;
    });
    expect(told.map(({ entries }) => entries[0]!.version)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(told.at(-1)).toMatchObject({
      organizationId: ada.organizationId,
      actorId: ada.userId,
      entries: [{ id, startedAt: at('09:00:00'), endedAt: at('10:05:00'), deleted: false }],
    });
  });

  test('stopped while it is paused: 600 s; and steps may be said later, each with its time', async () => {
    timers.clock.now = at('12:00:00');
    const { id } = (await post('', { startTime: iso('09:00:00') })).body;
    expect((await step(id, 'pause', { at: iso('09:10:00') })).status).toBe(200);
    const { body } = await step(id, 'stop', { at: iso('09:30:00') });
    expect(body).toMatchObject({ workedSeconds: 600, endTime: iso('09:30:00') });
  });

  test.each(['Pacific/Kiritimati', 'America/St_Johns', 'Asia/Kathmandu'])(
    'says 600 after 600 s, in %s as well',
    async (timezone) => {
      const person = timers.person({ timezone });
      timers.clock.now = at('09:00:00');
      const { id } = (await post('', {}, person)).body;
      timers.clock.now = at('09:10:00');
      expect((await get('/active', person)).body.entry).toMatchObject({ id, workedSeconds: 600, timezone });
      // The same by a database that takes this zone for its own.
      const { rows } = await database.admin.query('SELECT current_database() AS name');
      await database.admin.query(`ALTER DATABASE ${rows[0].name} SET timezone TO '${timezone}'`);
      const there = await openTimers(database.url);
      try {
        expect((await there.writer.pool.query('SHOW timezone')).rows).toEqual([{ TimeZone: timezone }]);
        there.clock.now = timers.clock.now;
        there.person(person);
        const { body } = await there.call(person, 'get', '/active');
        expect(body.entry).toMatchObject({ id, workedSeconds: 600, startTime: iso('09:00:00') });
        const stopped = await there.call(person, 'put', `/${id}/stop`, { body: {} });
        expect(stopped.body).toMatchObject({ workedSeconds: 600, endTime: iso('09:10:00') });
      } finally {
        await there.close();
        await database.admin.query(`ALTER DATABASE ${rows[0].name} RESET timezone`);
      }
      expect((await get(`/${id}`, person)).body).toMatchObject({ workedSeconds: 600, endTime: iso('09:10:00') });
    },
  );

  test('is one at a time: another start is 409 TIMER_RUNNING and names it, paused or not', async () => {
    const { id } = (await post('')).body;
    for (const act of ['pause', 'resume']) {
      const again = await post('');
      expect([...refused(again), again.body.details[0].conflictsWith]).toEqual([409, 'TIMER_RUNNING', id]);
      await step(id, act);
    }
    await step(id, 'stop');
    expect((await get('/active')).body).toEqual({ entry: null });
    expect((await post('')).status).toBe(201);
  });

  test('shows its pauses, and so does each line of its history', async () => {
    timers.clock.now = at('12:00:00');
    const { id, ...started } = (await post('', { startTime: iso('09:00:00') })).body;
    expect(started.pauses).toEqual([]);
    await step(id, 'pause', { at: iso('10:00:00') });
    await step(id, 'resume', { at: iso('10:30:00') });
    const { body } = await step(id, 'pause', { at: iso('11:00:00') });
    const [first, second] = [
      { from: iso('10:00:00'), to: iso('10:30:00') },
      { from: iso('11:00:00'), to: null },
    ];
    expect(body.pauses).toEqual([first, second]);
    const { items } = timeEntryHistory.parse((await get(`/${id}/history`)).body);
    const { userId, workedSeconds, activeSeconds, idleSeconds, untrackedSeconds, lastActivityAt, ...shown } = body;
    expect(items.at(-1)).toMatchObject({ before: { pauses: [first] }, after: { ...shown, deleted: false } });
  });

  test('takes no step that its state does not allow', async () => {
    const { id } = (await post('')).body;
    expect(refused(await step(id, 'resume'))).toEqual([409, 'TIMER_NOT_PAUSED']);
    await step(id, 'pause');
    expect(refused(await step(id, 'pause'))).toEqual([409, 'TIMER_NOT_RUNNING']);
    await step(id, 'stop');
    for (const act of ['pause', 'resume', 'stop']) {
      expect(refused(await step(id, act))).toEqual([409, 'TIMER_STOPPED']);
    }
    expect((await historyOf(id)).map(({ action }) => action)).toEqual(['started', 'paused', 'stopped']);
  });

  test('takes no step in the future, nor before its last one', async () => {
    timers.clock.now = at('12:00:00');
    expect(refused(await post('', { startTime: iso('12:00:01') }))).toEqual([400, 'IN_FUTURE']);
    expect(refused(await post('', { startTime: '2026-10-01T00:00:00Z' }))).toEqual([400, 'TOO_LONG']);
    const { id } = (await post('', { startTime: iso('10:00:00') })).body;
    expect(refused(await step(id, 'pause', { at: iso('12:00:01') }))).toEqual([400, 'IN_FUTURE']);
    expect(refused(await step(id, 'pause', { at: iso('09:59:59') }))).toEqual([400, 'BEFORE_LAST_CHANGE']);
    await step(id, 'pause', { at: iso('11:00:00') });
    expect(refused(await step(id, 'stop', { at: iso('10:30:00') }))).toEqual([400, 'BEFORE_LAST_CHANGE']);
    expect((await step(id, 'resume', { at: iso('11:00:00') })).body).toMatchObject({
      status: 'RUNNING',
      workedSeconds: 7_200,
    });
  });
});

describe('the clock of a laptop that is ahead', () => {
  test('a timer of it is stopped and paused by ours all the same', async () => {
    timers.clock.now = at('12:00:00');
    const { id } = (await post('', {})).body;
    timers.clock.now = at('11:59:59');
    expect((await step(id, 'pause')).body).toMatchObject({ status: 'PAUSED' });
    expect((await step(id, 'stop')).body).toMatchObject({ status: 'STOPPED' });
  });

  test('a change that names no end leaves an end alone that is a little ahead', async () => {
    timers.clock.now = at('12:00:00');
    const { id } = (await post('/manual', { startTime: iso('10:00:00'), endTime: iso('12:00:00') })).body;
    timers.clock.now = at('11:59:59');
    const { body } = await timers.call(ada, 'patch', `/${id}`, { body: { version: 1, startTime: iso('11:00:00') } });
    expect(body).toMatchObject({ startTime: iso('11:00:00'), endTime: iso('12:00:00') });
  });
});

test('an agent runs the timer of its own person, whatever the role of that one, and does nothing else', async () => {
  const boss = timers.person({ organizationId: ada.organizationId, role: 'manager' });
  const agent = timers.person({ ...boss, sessionId: undefined as never, agentKeyId: randomUUID() });
  const { id: hers } = (await post('')).body;
  const { id } = (await post('', {}, agent)).body;
  expect((await step(id, 'pause', {}, agent)).body).toMatchObject({ userId: boss.userId, status: 'PAUSED' });
  expect((await step(id, 'resume', {}, agent)).status).toBe(200);
  expect(refused(await step(hers, 'stop', {}, agent))).toEqual([403, 'FORBIDDEN']);
  expect((await step(id, 'stop', {}, agent)).status).toBe(200);
  expect(refused(await manual('09:00:00', '10:00:00', {}, agent))).toEqual([403, 'FORBIDDEN']);
  expect(refused(await patch(id, { version: 4, billable: true }, agent))).toEqual([403, 'FORBIDDEN']);
  expect(refused(await timers.call(agent, 'delete', `/${id}`))).toEqual([403, 'FORBIDDEN']);
});

describe('under force', () => {
  test('of 200 starts at once one is 201, and 199 are 409; the ledger has one line', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => post('')));
    expect(tally(answers)).toEqual({ 201: 1, '409 TIMER_RUNNING': 199 });
    const { id } = answers.find(({ status }) => status === 201)!.body;
    expect((await historyOf(id)).map(({ action }) => action)).toEqual(['started']);
  }, 60_000);

  test('of 100 pauses, resumes, stops and changes at once one wins each time, and the ledger tells the same', async () => {
    const { id } = (await post('')).body;
    const all = async (act: () => Promise<Answer>) => tally(await Promise.all(Array.from({ length: 100 }, act)));
    expect(await all(() => step(id, 'pause'))).toEqual({ 200: 1, '409 TIMER_NOT_RUNNING': 99 });
    expect(await all(() => step(id, 'resume'))).toEqual({ 200: 1, '409 TIMER_NOT_PAUSED': 99 });
    let n = 0;
    expect(await all(() => patch(id, { version: 3, description: `change ${n++}` }))).toEqual({
      200: 1,
      '409 STALE_VERSION': 99,
    });
    expect(await all(() => step(id, 'stop'))).toEqual({ 200: 1, '409 TIMER_STOPPED': 99 });
    expect(await all(() => timers.call(ada, 'delete', `/${id}`))).toEqual({ 204: 1, '404 NOT_FOUND': 99 });
    const actions = (await historyOf(id)).map(({ action }) => action);
    expect(actions).toEqual(['started', 'paused', 'resumed', 'edited', 'stopped', 'deleted']);
  }, 120_000);

  test('of 50 entries over the same hour at once one is there', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => manual('09:00:00', '10:00:00')));
    expect(tally(answers)).toEqual({ 201: 1, '409 OVERLAP': 49 });
    expect(await listed()).toHaveLength(1);
  }, 60_000);
});

describe('an entry by hand', () => {
  test('may touch another, each can be changed without meeting itself, and a millisecond over it is 409 naming it', async () => {
    const first = await manual('09:00:00', '13:00:00');
    const second = await manual('13:00:00', '17:00:00');
    expect([first.status, second.status]).toEqual([201, 201]);
    for (const { body } of [first, second]) {
      const changed = await patch(body.id, {
        version: 1,
        startTime: body.startTime,
        endTime: body.endTime,
        tags: ['a'],
      });
      expect(changed.status).toBe(200);
    }
    const over = await manual('12:59:59.999', '13:00:00');
    expect(refused(over)).toEqual([409, 'OVERLAP']);
    expect(over.body.details).toMatchObject([
      { message: expect.stringContaining(first.body.id), conflictsWith: first.body.id },
    ]);
    expect(refused(await patch(second.body.id, { version: 2, startTime: iso('12:59:59.999') }))).toEqual([
      409,
      'OVERLAP',
    ]);
    expect((await listed()).map(({ id }) => id)).toEqual([second.body.id, first.body.id]);
  });

  test('over a running timer is 409, before it is not', async () => {
    timers.clock.now = at('18:00:00');
    await post('', { startTime: iso('16:00:00') });
    expect(refused(await manual('15:00:00', '16:00:00.001'))).toEqual([409, 'OVERLAP']);
    expect((await manual('15:00:00', '16:00:00')).status).toBe(201);
    expect(refused(await manual('17:00:00', '17:30:00'))).toEqual([409, 'OVERLAP']);
  });

  test('lasts as long as it was, whatever the clocks did and in whatever zone it was said', async () => {
    const back = await post('/manual', {
      startTime: '2026-10-25T02:30:00+02:00',
      endTime: '2026-10-25T02:30:00+01:00',
      timezone: 'Europe/Berlin',
    });
    expect(back.body).toMatchObject({ workedSeconds: 3_600, startTime: '2026-10-25T00:30:00.000Z' });
    const odd = await post('/manual', {
      startTime: `${day}T11:02:00.000Z`,
      endTime: `${day}T22:04:41.412+11:00`,
    });
    expect(odd.body.workedSeconds).toBe(161);
  });

  test.each([
    ['the end before the start', { startTime: iso('10:00:00'), endTime: iso('09:00:00') }, 'END_BEFORE_START'],
    ['no length', { startTime: iso('10:00:00'), endTime: iso('10:00:00') }, 'END_BEFORE_START'],
    ['the start in the future', { startTime: '2999-01-01T00:00:00Z', endTime: '2999-01-01T01:00:00Z' }, 'IN_FUTURE'],
    ['the end in the future', { startTime: iso('10:00:00'), endTime: '2026-12-20T00:00:00Z' }, 'IN_FUTURE'],
    ['400 days', { startTime: '2025-10-01T00:00:00Z', endTime: '2026-11-05T00:00:00Z' }, 'TOO_LONG'],
    ['before 1970', { startTime: '1969-12-31T00:00:00Z', endTime: '1969-12-31T01:00:00Z' }, 'INVALID_TIME'],
    ['an unknown zone', { timezone: 'Mars/Olympus' }, 'VALIDATION_FAILED'],
    ['an offset for a zone', { timezone: '+05:00' }, 'VALIDATION_FAILED'],
    ['21 tags', { tags: Array.from({ length: 21 }, (_, i) => `t${i}`) }, 'VALIDATION_FAILED'],
    ['a tag of 65 characters', { tags: ['x'.repeat(65)] }, 'VALIDATION_FAILED'],
    ['a description of 2,001 characters', { description: 'x'.repeat(2_001) }, 'VALIDATION_FAILED'],
    ['a NUL in it', { description: 'a\u0000b' }, 'VALIDATION_FAILED'],
    ['half a character', { tags: ['\ud800'] }, 'VALIDATION_FAILED'],
    ['a project that is no id', { projectId: 'p' }, 'VALIDATION_FAILED'],
    ['times of the year 10,000', { startTime: '+010000-01-01T00:00:00Z' }, 'VALIDATION_FAILED'],
  ])('%s is refused, and leaves nothing', async (_what, wrong, code) => {
    timers.clock.now = Date.parse('2026-11-26T00:00:00Z');
    expect(refused(await manual('09:00:00', '10:00:00', wrong))).toEqual([400, code]);
    const { rows } = await timers.writer.pool.query('SELECT 1 FROM tracking.time_entries WHERE user_id = $1', [
      ada.userId,
    ]);
    expect(rows).toEqual([]);
  });

  test('is added for others by managers, in their zone; employees add their own', async () => {
    const boss = timers.person({ organizationId: ada.organizationId, role: 'manager' });
    const person = timers.person({ organizationId: ada.organizationId, timezone: 'Asia/Tokyo' });
    const { status, body } = await manual('09:00:00', '10:00:00', { userId: person.userId }, boss);
    expect([status, body.userId, body.timezone]).toEqual([201, person.userId, 'Asia/Tokyo']);
    expect((await historyFor(body.id, person))[0]).toMatchObject({ action: 'created', actorId: boss.userId });
    expect(refused(await manual('11:00:00', '12:00:00', { userId: person.userId }))).toEqual([403, 'FORBIDDEN']);
    const elsewhere = timers.person({ role: 'admin' });
    expect(refused(await manual('11:00:00', '12:00:00', { userId: person.userId }, elsewhere))).toEqual([
      404,
      'NOT_FOUND',
    ]);
  });
});

const historyFor = async (id: string, who: Caller) => (await get(`/${id}/history`, who)).body.items;

describe('a change', () => {
  test('of the end, months later, leaves the start to the millisecond; of the description moves nothing', async () => {
    const start = '2026-07-14T08:13:21.457Z';
    const { id } = (
      await post('/manual', { startTime: start, endTime: '2026-07-14T17:00:00.001Z', timezone: 'Europe/Berlin' })
    ).body;
    const ended = await patch(id, { version: 1, endTime: '2026-07-14T18:30:00.002Z', reason: 'forgot' });
    expect(ended.body).toMatchObject({ startTime: start, endTime: '2026-07-14T18:30:00.002Z', version: 2 });
    const said = await patch(id, { version: 2, description: 'Invoices' });
    const { description, version, updatedAt, ...rest } = said.body;
    expect([description, version]).toEqual(['Invoices', 3]);
    const { description: _, version: __, updatedAt: ___, ...before } = ended.body;
    expect(rest).toEqual(before);
    expect(Date.parse(updatedAt)).toBeGreaterThanOrEqual(Date.parse(ended.body.updatedAt));
    const history = await historyOf(id);
    expect(history[1]).toMatchObject({
      action: 'edited',
      reason: 'forgot',
      before: { endTime: '2026-07-14T17:00:00.001Z' },
      after: { endTime: '2026-07-14T18:30:00.002Z' },
    });
  });

  test('keeps the pauses that still lie inside, and cuts those that do not', async () => {
    timers.clock.now = at('18:00:00');
    const { id } = (await post('', { startTime: iso('09:00:00') })).body;
    await step(id, 'pause', { at: iso('10:00:00') });
    await step(id, 'resume', { at: iso('11:00:00') });
    await step(id, 'pause', { at: iso('12:00:00') });
    await step(id, 'resume', { at: iso('13:00:00') });
    await step(id, 'stop', { at: iso('14:00:00') });
    const { body } = await patch(id, { version: 6, startTime: iso('10:30:00'), endTime: iso('12:30:00') });
    // 11:00 to 12:00.
    expect(body).toMatchObject({ workedSeconds: 3_600, version: 7 });
    expect((await patch(id, { version: 7, startTime: iso('09:00:00') })).body.workedSeconds).toBe(3_600 + 5_400);
  });

  test('that changes nothing makes no version, no line in the ledger and no event', async () => {
    const { id, version } = (await manual('09:00:00', '10:00:00', { tags: ['a'] })).body;
    const { status, body } = await patch(id, { version, tags: ['a'], endTime: iso('10:00:00') });
    expect([status, body.version]).toEqual([200, version]);
    expect(await historyOf(id)).toHaveLength(1);
  });

  test('that names nothing is 400: a misspelt field seems to be taken else', async () => {
    const { id } = (await manual('09:00:00', '10:00:00')).body;
    for (const nothing of [{}, { reason: 'why' }, { bilable: true }]) {
      expect(refused(await patch(id, { version: 1, ...nothing }))).toEqual([400, 'VALIDATION_FAILED']);
    }
  });

  test('from an older state is 409 STALE_VERSION; without a version 400', async () => {
    const { id } = (await manual('09:00:00', '10:00:00')).body;
    await patch(id, { version: 1, billable: true });
    expect(refused(await patch(id, { version: 1, billable: false }))).toEqual([409, 'STALE_VERSION']);
    expect(refused(await patch(id, { billable: false }))).toEqual([400, 'VALIDATION_FAILED']);
  });

  test('of the end of an open timer is 409', async () => {
    timers.clock.now = at('18:00:00');
    const { id } = (await post('', { startTime: iso('09:00:00') })).body;
    expect(refused(await patch(id, { version: 1, endTime: iso('10:00:00') }))).toEqual([409, 'TIMER_NOT_STOPPED']);
    expect((await patch(id, { version: 1, startTime: iso('08:00:00') })).body).toMatchObject({
      startTime: iso('08:00:00'),
    });
  });
});

test('a deleted entry is gone from everything but its history, and its time is free', async () => {
  const { id } = (await manual('09:00:00', '10:00:00')).body;
  expect((await timers.call(ada, 'delete', `/${id}?reason=twice`)).status).toBe(204);
  expect(refused(await get(`/${id}`))).toEqual([404, 'NOT_FOUND']);
  expect(await listed()).toEqual([]);
  expect((await manual('09:00:00', '10:00:00')).status).toBe(201);
  expect((await historyOf(id)).map(({ action, reason }) => [action, reason])).toEqual([
    ['created', null],
    ['deleted', 'twice'],
  ]);
  const told = await until('the tombstone', async () =>
    (await timers.told(ada)).flatMap(({ entries }) => entries).find((entry) => entry.deleted),
  );
  expect(told).toMatchObject({ id, version: 2, startedAt: at('09:00:00') });
});

test('the ledger cannot be changed, not even by the service itself', async () => {
  await manual('09:00:00', '10:00:00');
  for (const sql of [
    "UPDATE tracking.time_entry_changes SET reason = 'x'",
    'DELETE FROM tracking.time_entry_changes',
    'TRUNCATE tracking.time_entry_changes',
  ]) {
    await expect(timers.writer.pool.query(sql)).rejects.toMatchObject({ code: 'P0001' });
  }
});

describe('Idempotency-Key', () => {
  const keyed = (name: string) => ({ 'idempotency-key': name });

  test('the same request again is 200 with the same entry, many at once too; another body is 422', async () => {
    const send = (body: unknown = {}) => post('', body, ada, keyed('one'));
    const answers = await Promise.all(Array.from({ length: 20 }, () => send()));
    expect(tally(answers)).toEqual({ 200: 19, 201: 1 });
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    const { id } = answers[0]!.body;
    await step(id, 'stop');
    expect((await send()).body).toMatchObject({ id, status: 'STOPPED' });
    expect(refused(await send({ billable: true }))).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    expect(
      refused(await post('/manual', { startTime: iso('09:00:00'), endTime: iso('10:00:00') }, ada, keyed('one'))),
    ).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    // Of somebody else it is another key.
    expect((await post('', {}, timers.person(), keyed('one'))).status).toBe(201);
  });

  test('a request that was refused has used no key', async () => {
    const send = (from: string) => post('/manual', { startTime: iso(from), endTime: iso('10:00:00') }, ada, keyed('k'));
    expect(refused(await send('11:00:00'))).toEqual([400, 'END_BEFORE_START']);
    expect((await send('09:00:00')).status).toBe(201);
  });

  test('what was made is given back also when its project is archived; once it is deleted, it is not there', async () => {
    const project = randomUUID();
    const body = { startTime: iso('09:00:00'), endTime: iso('10:00:00'), projectId: project };
    const made = await post('/manual', body, ada, keyed('p'));
    expect(made.status).toBe(201);
    timers.workspace = {
      check: async () => {
        throw invalid('PROJECT_ARCHIVED', 'This project is archived.');
      },
    };
    expect(refused(await post('/manual', body, ada, keyed('q')))).toEqual([400, 'PROJECT_ARCHIVED']);
    expect(await post('/manual', body, ada, keyed('p'))).toMatchObject({ status: 200, body: { id: made.body.id } });
    await timers.call(ada, 'delete', `/${made.body.id}`);
    expect(refused(await post('/manual', body, ada, keyed('p')))).toEqual([404, 'NOT_FOUND']);
  });

  test('one of 129 characters is 400', async () => {
    expect(refused(await post('', {}, ada, keyed('x'.repeat(129))))).toEqual([400, 'INVALID_IDEMPOTENCY_KEY']);
  });
});

describe('active and idle time of an entry', () => {
  const laptop = () => ({
    organizationId: ada.organizationId,
    userId: ada.userId,
    deviceId: 'laptop',
    source: 'window',
  });
  const use = async (more: object, ...pings: ReturnType<typeof seen>[]) =>
    (await mergeStreams(timers.writer, [{ stream: { ...laptop(), ...more }, pings }])).published;

  test('is what usage of that state covers of the worked time; active wins where devices disagree', async () => {
    timers.clock.now = at('18:00:00');
    const { id } = (await post('', { startTime: iso('09:00:00') })).body;
    await step(id, 'pause', { at: iso('10:00:00') });
    await step(id, 'resume', { at: iso('10:30:00') });
    await step(id, 'stop', { at: iso('11:00:00') });
    await use(
      {},
      seen(at('08:50:00'), at('09:20:00'), key('Editor')),
      seen(at('09:50:00'), at('10:40:00'), key('Editor')),
    );
    await use({ deviceId: 'desktop' }, seen(at('09:10:00'), at('09:40:00'), key('Browser', null, 'idle')));
    const { body } = await get(`/${id}`);
    // Active 9:00–9:20, 9:50–10:00 and 10:30–10:40; idle 9:20–9:40; nothing 9:40–9:50 and 10:40–11:00.
    expect(body).toMatchObject({
      workedSeconds: 5_400,
      activeSeconds: 2_400,
      idleSeconds: 1_200,
      untrackedSeconds: 1_800,
      lastActivityAt: iso('10:40:00'),
    });
    expect(await listed()).toEqual([body]);
  });

  test('is as exact after late and repeated pings, and over the turn of a month', async () => {
    const month = (time: string) => Date.parse(`2026-10-31T${time}Z`);
    const { id } = (await post('/manual', { startTime: '2026-10-31T23:00:00Z', endTime: '2026-11-01T01:00:00Z' })).body;
    const pings = [seen(month('22:00:00'), Date.parse('2026-11-01T00:30:00Z'), key('Editor'))];
    for (let i = 0; i < 3; i++) await use({}, ...pings);
    expect((await get(`/${id}`)).body).toMatchObject({
      workedSeconds: 7_200,
      activeSeconds: 5_400,
      untrackedSeconds: 1_800,
    });
  });

  test('parts make the whole, whatever the milliseconds', async () => {
    const start = at('09:00:00');
    const { id } = (
      await post('/manual', { startTime: iso('09:00:00'), endTime: new Date(start + 2_500).toISOString() })
    ).body;
    await use({}, seen(start, start + 500, key('A')), seen(start + 500, start + 1_000, key('B', null, 'idle')));
    const { workedSeconds, activeSeconds, idleSeconds, untrackedSeconds } = (await get(`/${id}`)).body;
    expect([workedSeconds, activeSeconds, idleSeconds, untrackedSeconds]).toEqual([3, 1, 0, 2]);
  });
});

describe('lists', () => {
  test('have what touches the range, newest first, page by page, by project and status', async () => {
    timers.clock.now = at('23:00:00');
    const projectId = randomUUID();
    for (let hour = 8; hour < 18; hour++) {
      const two = String(hour).padStart(2, '0');
      const more = hour % 2 === 0 ? { projectId } : {};
      expect((await manual(`${two}:00:00`, `${two}:30:00`, more)).status).toBe(201);
    }
    const { id: open } = (await post('', { startTime: iso('22:00:00') })).body;
    const page = async (query: string) => (await get(`?${query}`)).body;
    const range = `from=${iso('09:15:00')}&to=${iso('17:00:00')}`;
    const starts = async (query: string) =>
      (await page(query)).items.map(({ startTime }: TimeEntry) => startTime.slice(11, 13));
    expect(await starts(range)).toEqual(['16', '15', '14', '13', '12', '11', '10', '09']);
    expect(await starts(`${range}&projectId=${projectId}`)).toEqual(['16', '14', '12', '10']);
    expect(await starts(`${range}&status=RUNNING`)).toEqual([]);
    const whole = `from=${iso('00:00:00')}&to=${iso('23:59:59')}`;
    expect((await page(`${whole}&status=RUNNING`)).items.map(({ id }: TimeEntry) => id)).toEqual([open]);
    await step(open, 'pause');
    expect((await page(`${whole}&status=PAUSED`)).items).toHaveLength(1);
    expect((await page(`${whole}&status=STOPPED`)).items).toHaveLength(10);
    const seenIds: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const got: { items: TimeEntry[]; nextCursor: string | null } = await page(
        `${whole}&limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      seenIds.push(...got.items.map(({ id }) => id));
      cursor = got.nextCursor;
    }
    expect(seenIds).toEqual((await page(whole)).items.map(({ id }: TimeEntry) => id));
    expect(seenIds).toHaveLength(11);
    const other = (await page(`${whole}&limit=3`)).nextCursor;
    expect(refused(await get(`?${range}&cursor=${other}`))).toEqual([400, 'INVALID_CURSOR']);
  });

  test('show a colleague to managers, and nobody to people elsewhere', async () => {
    const { id } = (await manual('09:00:00', '10:00:00')).body;
    const boss = timers.person({ organizationId: ada.organizationId, role: 'manager' });
    const colleague = timers.person({ organizationId: ada.organizationId });
    const elsewhere = timers.person({ role: 'admin' });
    const of = `&userId=${ada.userId}`;
    expect((await listed(of, boss)).map((entry) => entry.id)).toEqual([id]);
    expect((await get(`/active?userId=${ada.userId}`, boss)).body).toEqual({ entry: null });
    const range = `?from=${day}T00:00:00Z&to=2026-11-22T00:00:00Z${of}`;
    expect(refused(await get(range, colleague))).toEqual([403, 'FORBIDDEN']);
    expect(refused(await get(range, elsewhere))).toEqual([404, 'NOT_FOUND']);
    for (const [who, code] of [
      [colleague, [403, 'FORBIDDEN']],
      [elsewhere, [404, 'NOT_FOUND']],
    ] as const) {
      expect(refused(await get(`/${id}`, who))).toEqual(code);
      expect(refused(await get(`/${id}/history`, who))).toEqual(code);
      expect(refused(await patch(id, { version: 1, billable: true }, who))).toEqual(code);
      expect(refused(await step(id, 'stop', {}, who))).toEqual(code);
      expect(refused(await timers.call(who, 'delete', `/${id}`))).toEqual(code);
    }
    expect((await patch(id, { version: 1, billable: true }, boss)).status).toBe(200);
  });

  test.each([
    `from=${iso('10:00:00')}&to=${iso('09:00:00')}`,
    `from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z`,
    'from=x&to=y',
    '',
  ])('of "%s" are 400', async (query) => {
    expect((await get(`?${query}`)).status).toBe(400);
  });
});

describe('projects and tasks', () => {
  test('are asked for before anything is written; what is unknown is refused', async () => {
    timers.workspace = {
      check: async () => {
        throw invalid('PROJECT_UNKNOWN', 'There is no such project.');
      },
    };
    const projectId = randomUUID();
    expect(refused(await post('', { projectId }))).toEqual([400, 'PROJECT_UNKNOWN']);
    expect(refused(await manual('09:00:00', '10:00:00', { projectId }))).toEqual([400, 'PROJECT_UNKNOWN']);
    const { id } = (await manual('09:00:00', '10:00:00')).body;
    expect(refused(await patch(id, { version: 1, projectId }))).toEqual([400, 'PROJECT_UNKNOWN']);
    expect(await historyOf(id)).toHaveLength(1);
  });

  test('a task alone brings its project along', async () => {
    const [projectId, taskId] = [randomUUID(), randomUUID()];
    timers.workspace = { check: async (_, asked) => asked.projectId ?? (asked.taskId ? projectId : null) };
    expect((await post('', { taskId })).body).toMatchObject({ projectId, taskId });
  });
});

describe('while something is away', () => {
  const tenant = 'worktide_session_writer_tenant';

  test('the ledger: 503, and nothing of a start is left; later it succeeds under the same key', async () => {
    const headers = { 'idempotency-key': 'again' };
    await database.admin.query(`REVOKE INSERT ON tracking.time_entry_changes FROM ${tenant}`);
    try {
      const answer = await post('', {}, ada, headers);
      expect(refused(answer)).toEqual([503, 'DEPENDENCY_UNAVAILABLE']);
      expect(answer.headers.get('retry-after')).not.toBeNull();
    } finally {
      await database.admin.query(`GRANT INSERT ON tracking.time_entry_changes TO ${tenant}`);
    }
    expect((await get('/active')).body).toEqual({ entry: null });
    expect((await post('', {}, ada, headers)).status).toBe(201);
    await until('one start is told', async () => (await timers.told(ada)).length === 1);
  });

  test('the log: timers go on, and what is to be told waits in the outbox; an operator sees how much', async () => {
    const there = await openTimers(database.url);
    try {
      there.person(ada);
      await there.writer.eventLog.close();
      const { status, body } = await there.call(ada, 'post', '', { body: {} });
      expect(status).toBe(201);
      expect((await there.call(ada, 'put', `/${body.id}/stop`, { body: {} })).status).toBe(200);
      const { rows } = await database.admin.query(
        'SELECT count(*)::int AS n FROM tracking.outbox WHERE due_at > now()',
      );
      expect(rows[0].n).toBeGreaterThanOrEqual(2);
      const unpublished = /worktide_outbox_unpublished\S*\{schema="tracking"\} [1-9]/;
      expect((await there.writer.metrics.render()).text).toMatch(unpublished);
      const isReady = async () => there.writer.outbox.check();
      await until('readiness says so', () =>
        isReady().then(
          () => false,
          () => true,
        ),
      );
    } finally {
      await there.close();
    }
  });
});
