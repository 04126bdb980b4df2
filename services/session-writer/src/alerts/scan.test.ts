import { randomUUID } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { transaction } from '@worktide/postgres';
import { silentLogger, unavailable, uuidv7 } from '@worktide/runtime';
import {
  type AlertState,
  alertsRecord,
  createCodec,
  openSchemaRegistry,
  organizationSettings,
  type TimeEntryState,
  topics,
} from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import { mergeStreams } from '../store/merge.ts';
import { key, newStream, openWriter, seen, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { insertEntries, updateEntry } from '../timers/store.ts';
import { type AlertScan, type AlertScanOptions, createAlertScan } from './scan.ts';
import type { Person } from './store.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** Some day within a month: what comes before and after it lies in the same. */
const today = Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth(), 15) - 31 * day;
const iso = (ms: number): string => new Date(ms).toISOString();
const dateOf = (ms: number): string => iso(ms).slice(0, 10);

let database: TestDatabase;
let writer: TestWriter;
let now: number;
let settings: Map<string, { idleAlertAfterSeconds?: number; overtimeAfterSeconds?: number }>;
let authAway: boolean;
const codec = createCodec(openSchemaRegistry('local:'), topics.alerts);

beforeAll(async () => {
  await codec.prepare();
});
beforeEach(async () => {
  database = await trackingDatabase();
  now = today;
  settings = new Map();
  authAway = false;
  writer = await openWriter(database.url, { now: () => now });
  await writer.partitions.maintain();
});
afterEach(async () => {
  await writer.close();
  await database.drop();
});

const scanOptions = (of: TestWriter): AlertScanOptions => ({
  ...of,
  codec,
  log: silentLogger(),
  now: () => now,
  identity: {
    organization: async (id) => {
      if (authAway) throw unavailable('auth');
      const known = organizationSettings.parse(settings.get(id) ?? {});
      return { id, timezone: 'UTC', subscriptionStatus: 'pro', settings: known };
    },
  },
});
const scanner = (of: TestWriter = writer): AlertScan => createAlertScan(scanOptions(of));
const scanAt = async (at: number): Promise<void> => {
  now = at;
  expect(await scanner().scan()).toBe(true);
};

const somebody = (): Person => ({ organizationId: randomUUID(), userId: randomUUID() });
const author = (who: Person) => ({ ...who, actorId: who.userId, requestId: null });
/** A timer of somebody, as it is written at `now`. */
async function write(who: Person, startedAt: number, more: Partial<TimeEntryState> = {}): Promise<TimeEntryState> {
  const entry: TimeEntryState = {
    id: uuidv7(),
    kind: 'timer',
    status: 'RUNNING',
    projectId: null,
    taskId: null,
    description: null,
    tags: [],
    billable: false,
    timezone: 'UTC',
    startedAt,
    endedAt: null,
    pauses: [],
    createdAt: now,
    updatedAt: now,
    version: 1,
    deleted: false,
    ...more,
  };
  await transaction(writer.pool, (client) => insertEntries(client, author(who), [entry]));
  return entry;
}
async function change(who: Person, entry: TimeEntryState, more: Partial<TimeEntryState>): Promise<TimeEntryState> {
  const after = { ...entry, updatedAt: now, version: entry.version + 1, ...more };
  await transaction(writer.pool, (client) => updateEntry(client, author(who), after));
  return after;
}
const stop = (who: Person, entry: TimeEntryState, endedAt: number): Promise<TimeEntryState> =>
  change(who, entry, { status: 'STOPPED', endedAt });
/** What a device of theirs saw. */
async function use(who: Person, start: number, end: number, state: 'active' | 'idle' = 'active'): Promise<void> {
  const work = [{ stream: newStream(who), pings: [seen(start, end, key('Code', null, state))] }];
  await (await mergeStreams(writer, work)).published;
}

interface Stored {
  type: string;
  from: number | null;
  until: number | null;
  resolved: boolean;
  by: string | null;
  date: string;
  version: number;
  entry: string | null;
}
async function alertsOf({ organizationId, userId }: Person): Promise<Stored[]> {
  const { rows } = await writer.pool.query<Stored>(
    `SELECT type, epoch_ms(idle_from) AS from, epoch_ms(idle_until) AS until, resolved_at IS NOT NULL AS resolved,
       resolved_by AS by, to_char(date, 'YYYY-MM-DD') AS date, version, time_entry_id AS entry
     FROM tracking.alerts WHERE organization_id = $1 AND user_id = $2 ORDER BY idle_from, date, created_at`,
    [organizationId, userId],
  );
  return rows;
}
/** What was told of somebody, in order, once it is so much: it leaves after the commit. */
const told = (who: Person, count: number): Promise<AlertState[]> =>
  until(`${count} events`, async () => {
    const events = await toldOf(who);
    return events.length >= count && events;
  });
async function toldOf({ userId }: Person): Promise<AlertState[]> {
  const records = [];
  for (let partition = 0; partition < topics.alerts.partitions; partition++) {
    records.push(...(await writer.eventLog.admin.read('alerts', { partition, fromOffset: 0, limit: 10_000 })));
  }
  return records
    .map(({ value }) => alertsRecord.parse(codec.decode(value)))
    .filter((record) => record.userId === userId)
    .flatMap(({ alerts }) => alerts);
}

describe('a timer on an empty chair', () => {
  test('last ping at 18:10, next at 07:30: one alert, which resolves itself', async () => {
    const who = somebody();
    const [evening, morning] = [today + 18 * hour + 10 * minute, today + day + 7.5 * hour];
    now = today + 17 * hour;
    const entry = await write(who, now);
    await use(who, now, evening);
    await scanAt(evening + 5 * minute - 1);
    expect(await alertsOf(who)).toEqual([]);
    for (const at of [evening + 5 * minute, evening + 6 * minute, today + day, morning]) await scanAt(at);
    const open = { type: 'idle', from: evening, until: null, resolved: false, by: null, version: 1, entry: entry.id };
    expect(await alertsOf(who)).toEqual([{ ...open, date: dateOf(today) }]);
    now = morning + minute;
    await use(who, morning, now);
    await scanAt(now);
    await scanAt(now + 4 * minute);
    expect(await alertsOf(who)).toEqual([{ ...open, date: dateOf(today), until: morning, resolved: true, version: 2 }]);
    const events = await told(who, 2);
    expect(events).toMatchObject([
      { type: 'idle', timeEntryId: entry.id, date: dateOf(today), createdAt: evening + 5 * minute, resolvedAt: null },
      { resolvedAt: morning + minute, resolvedBy: null, version: 2 },
    ]);
    expect(new Set(events.map(({ id }) => id)).size).toBe(1);
    expect(await metricOf(writer.metrics, 'worktide_alerts_total', { type: 'idle', what: 'resolved' })).toBe(1);

    // The same once more is another one.
    await scanAt(morning + 6 * minute);
    expect(await alertsOf(who)).toMatchObject([{ resolved: true }, { from: morning + minute, resolved: false }]);
  });

  test('the same where the scans come only when all is over', async () => {
    const who = somebody();
    const [evening, morning] = [today + 18 * hour + 10 * minute, today + day + 7.5 * hour];
    now = today + 17 * hour;
    await write(who, now);
    await use(who, now, evening);
    await scanAt(evening + 4 * minute);
    await use(who, morning, morning + 2 * minute);
    await scanAt(morning + 3 * minute);
    await scanAt(morning + 4 * minute);
    expect(await alertsOf(who)).toMatchObject([{ from: evening, until: morning, resolved: true, version: 1 }]);
    expect(await told(who, 1)).toHaveLength(1);
  });

  test('no timer, or a paused one, or one that was never left alone: no alert', async () => {
    const [idle, paused, busy] = [somebody(), somebody(), somebody()];
    await use(idle, today, today + minute);
    await write(paused, today, { status: 'PAUSED', pauses: [{ from: today + 4 * minute, to: null }] });
    await write(busy, today);
    await use(busy, today + 4 * minute, today + 12 * minute);
    for (const at of [today + 10 * minute, today + 16 * minute]) await scanAt(at);
    for (const who of [idle, paused, busy]) expect(await alertsOf(who)).toEqual([]);
  });

  test('idle usage is no activity; that of another device, or of a colleague, counts for whom it is', async () => {
    const [who, other] = [somebody(), somebody()];
    const colleague = { ...who, userId: randomUUID() };
    for (const one of [who, other, colleague]) await write(one, today);
    await use(who, today, today + 10 * minute, 'idle');
    await use(colleague, today, today + 10 * minute);
    await use({ ...other, organizationId: who.organizationId }, today, today + 10 * minute);
    await scanAt(today + 10 * minute);
    expect(await alertsOf(who)).toHaveLength(1);
    expect(await alertsOf(other)).toHaveLength(1);
    expect(await alertsOf(colleague)).toEqual([]);
  });

  test.each(['pause', 'stop', 'delete'] as const)('%s resolves it', async (how) => {
    const who = somebody();
    const entry = await write(who, today);
    await scanAt(today + 6 * minute);
    now = today + 10 * minute;
    if (how === 'stop') await stop(who, entry, now);
    else if (how === 'delete') await change(who, entry, { deleted: true });
    else await change(who, entry, { status: 'PAUSED', pauses: [{ from: now, to: null }] });
    await scanAt(now + minute);
    expect(await alertsOf(who)).toMatchObject([{ from: today, resolved: true, by: null }]);
    await scanAt(now + 20 * minute);
    expect(await alertsOf(who)).toHaveLength(1);
  });

  test('one that was stopped between two scans is told of, and a new pause is not time without activity', async () => {
    const who = somebody();
    const entry = await write(who, today);
    await use(who, today, today + 10 * minute);
    await scanAt(today + 14 * minute);
    now = today + 16 * minute;
    await stop(who, entry, now);
    await scanAt(now);
    expect(await alertsOf(who)).toMatchObject([
      { from: today + 10 * minute, until: today + 16 * minute, resolved: true },
    ]);
    const paused = await write(who, now);
    await change(who, paused, {
      pauses: [{ from: now + 2 * minute, to: now + 20 * minute }],
    });
    await scanAt(now + 23 * minute);
    expect(await alertsOf(who)).toHaveLength(1);
  });

  test('what somebody resolved stays so, while the chair is empty and after', async () => {
    const who = somebody();
    await write(who, today);
    await scanAt(today + 6 * minute);
    const manager = randomUUID();
    await writer.pool.query(
      `UPDATE tracking.alerts SET resolved_at = now(), resolved_by = $2, version = version + 1 WHERE user_id = $1`,
      [who.userId, manager],
    );
    await scanAt(today + 30 * minute);
    await use(who, today + 31 * minute, today + 32 * minute);
    await scanAt(today + 32 * minute);
    expect(await alertsOf(who)).toMatchObject([
      { from: today, until: today + 31 * minute, resolved: true, by: manager, version: 2 },
    ]);
    expect(await told(who, 1)).toHaveLength(1);
    await scanAt(today + 37 * minute);
    expect(await alertsOf(who)).toHaveLength(2);
  });

  test('activity that comes late is no second alert; where it leaves no time without activity it resolves the first', async () => {
    const [who, worked] = [somebody(), somebody()];
    for (const one of [who, worked]) await write(one, today);
    await scanAt(today + 10 * minute);
    await scanAt(today + 40 * minute);
    // Hours later a laptop comes back: within the time, at its beginning, and all of it.
    await use(who, today + 20 * minute, today + 21 * minute);
    await use(who, today, today + 5 * minute);
    await use(worked, today, today + 40 * minute);
    await scanAt(today + 41 * minute);
    await scanAt(today + 42 * minute);
    expect(await alertsOf(who)).toMatchObject([{ from: today, until: null, resolved: false, version: 1 }]);
    expect(await alertsOf(worked)).toMatchObject([{ from: today, resolved: true }]);
    await use(who, today + 43 * minute, today + 44 * minute);
    await scanAt(today + 44 * minute);
    expect(await alertsOf(who)).toMatchObject([{ from: today, until: today + 43 * minute, resolved: true }]);
  });

  test('an entry that was edited later is not looked at again', async () => {
    const who = somebody();
    const entry = await write(who, today, { status: 'STOPPED', endedAt: today + hour });
    await scanAt(today + 20 * hour);
    now = today + 21 * hour;
    await change(who, entry, { endedAt: today + 2 * hour });
    await write(who, today + 3 * hour, { kind: 'manual', status: 'STOPPED', endedAt: today + 5 * hour });
    await scanAt(now);
    expect(await alertsOf(who)).toEqual([]);
  });

  test('the threshold is the organisation’s', async () => {
    const [quick, slow] = [somebody(), somebody()];
    settings.set(quick.organizationId, { idleAlertAfterSeconds: 60 });
    settings.set(slow.organizationId, { idleAlertAfterSeconds: 3_600 });
    for (const who of [quick, slow]) await write(who, today);
    await scanAt(today + minute);
    expect(await alertsOf(quick)).toHaveLength(1);
    await scanAt(today + hour - 1);
    expect(await alertsOf(slow)).toEqual([]);
    // Lowered: it began when it began.
    settings.set(slow.organizationId, { idleAlertAfterSeconds: 60 });
    await scanAt(today + hour);
    expect(await alertsOf(slow)).toMatchObject([{ from: today }]);
  });

  test('over the end of a month', async () => {
    const who = somebody();
    const month = Date.UTC(new Date(today).getUTCFullYear(), new Date(today).getUTCMonth() + 1);
    now = month - hour;
    await write(who, now);
    await use(who, now, month - 4 * minute);
    await scanAt(month + 2 * minute);
    expect(await alertsOf(who)).toMatchObject([{ from: month - 4 * minute, date: dateOf(month - 1) }]);
    await use(who, month + 3 * minute, month + 4 * minute);
    await scanAt(month + 4 * minute);
    expect(await alertsOf(who)).toMatchObject([{ until: month + 3 * minute, resolved: true }]);
  });
});

describe('a day that got too long', () => {
  test('20:00–08:00 is none on either day, 08:00–18:00 is one', async () => {
    const [night, shift] = [somebody(), somebody()];
    const done = { status: 'STOPPED' as const };
    now = today + 2 * day;
    await write(night, today + 20 * hour, { ...done, endedAt: today + 32 * hour });
    await write(shift, today + 8 * hour, { ...done, endedAt: today + 18 * hour });
    await scanAt(now);
    await scanAt(now + minute);
    expect(await alertsOf(night)).toEqual([]);
    expect(await alertsOf(shift)).toEqual([
      {
        type: 'overtime',
        from: null,
        until: null,
        resolved: false,
        by: null,
        date: dateOf(today),
        version: 1,
        entry: null,
      },
    ]);
    expect(await told(shift, 1)).toMatchObject([
      { type: 'overtime', date: dateOf(today), timeEntryId: null, version: 1 },
    ]);
  });

  test('while a timer runs: once it is longer than nine hours, without its pauses, with what was before', async () => {
    const who = somebody();
    now = today + 8 * hour;
    await write(who, today + 6 * hour, { kind: 'manual', status: 'STOPPED', endedAt: today + 8 * hour });
    await write(who, now, { pauses: [{ from: today + 12 * hour, to: today + 13 * hour }] });
    const overtime = async () => (await alertsOf(who)).filter(({ type }) => type === 'overtime');
    await scanAt(today + 16 * hour);
    expect(await overtime()).toEqual([]);
    await scanAt(today + 16 * hour + 1);
    expect(await overtime()).toMatchObject([{ date: dateOf(today), resolved: false }]);
    await scanAt(today + 23 * hour);
    expect(await overtime()).toHaveLength(1);
  });

  test('days are of the zone of each entry', async () => {
    const who = somebody();
    // Kathmandu is 5:45 ahead: 18:15 UTC is midnight there.
    const [midnight, timezone] = [today + 18.25 * hour, 'Asia/Kathmandu'];
    now = today + 2 * day;
    const done = { status: 'STOPPED' as const, timezone };
    await write(who, midnight - 5 * hour, { ...done, endedAt: midnight + 5 * hour });
    await scanAt(now);
    expect(await alertsOf(who)).toEqual([]);
    await write(who, midnight + 6 * hour, { ...done, endedAt: midnight + 10.5 * hour });
    await scanAt(now);
    expect(await alertsOf(who)).toMatchObject([{ type: 'overtime', date: dateOf(today + day) }]);
  });

  test('what was edited away resolves itself, and is open again where that is taken back; a person’s word stays', async () => {
    const who = somebody();
    now = today + day;
    let entry = await write(who, today + 8 * hour, { status: 'STOPPED', endedAt: today + 18 * hour });
    await scanAt(now);
    now += hour;
    entry = await change(who, entry, { endedAt: today + 17 * hour });
    await scanAt(now);
    expect(await alertsOf(who)).toMatchObject([{ resolved: true, by: null, version: 2 }]);
    now += hour;
    entry = await change(who, entry, { endedAt: today + 19 * hour });
    await scanAt(now);
    expect(await alertsOf(who)).toMatchObject([{ resolved: false, version: 3 }]);
    await writer.pool.query('UPDATE tracking.alerts SET resolved_at = now(), resolved_by = $1', [who.userId]);
    now += hour;
    await change(who, entry, { endedAt: today + 20 * hour });
    await scanAt(now);
    expect(await alertsOf(who)).toMatchObject([{ resolved: true, by: who.userId }]);
    expect((await told(who, 3)).map(({ version, resolvedAt }) => [version, resolvedAt === null])).toEqual([
      [1, true],
      [2, false],
      [3, true],
    ]);
  });

  test('a zone that this runtime does not know counts as UTC, and holds up nobody', async () => {
    const who = somebody();
    now = today + day;
    await write(who, today + 8 * hour, { status: 'STOPPED', endedAt: today + 18 * hour, timezone: 'Nowhere/Atlantis' });
    await scanAt(now);
    expect(await alertsOf(who)).toMatchObject([{ date: dateOf(today) }]);
  });
});

describe('scans', () => {
  test('by two replicas at once, again and again, tell of everything once', async () => {
    const second = await openWriter(database.url, { now: () => now });
    try {
      const people = Array.from({ length: 450 }, somebody);
      now = today + day;
      for (const who of people) await write(who, today + 8 * hour);
      now += minute;
      for (let round = 0; round < 3; round++) {
        const scans = [scanner(), scanner(second), scanner(), scanner(second)];
        await Promise.all(scans.map((one) => one.scan()));
      }
      expect(await scanner().scan()).toBe(true);
      const { rows } = await writer.pool.query(
        'SELECT type, count(*)::int AS n, count(DISTINCT user_id)::int AS people, max(version)::int AS version FROM tracking.alerts GROUP BY type ORDER BY type',
      );
      expect(rows).toEqual(['idle', 'overtime'].map((type) => ({ type, n: 450, people: 450, version: 1 })));
    } finally {
      await second.close();
    }
  });

  test('without auth are made up for; a person of an organisation that is known is not kept waiting', async () => {
    const [first, later] = [somebody(), somebody()];
    now = today + 2 * day;
    await write(first, today + 8 * hour, { status: 'STOPPED', endedAt: today + 18 * hour });
    authAway = true;
    await scanAt(now);
    expect(await alertsOf(first)).toEqual([]);
    expect(await metricOf(writer.metrics, 'worktide_alert_people_skipped_total')).toBe(1);
    await write(later, today + 8 * hour, { status: 'STOPPED', endedAt: today + 18 * hour });
    authAway = false;
    await scanAt(now + hour);
    expect(await alertsOf(first)).toHaveLength(1);
    expect(await alertsOf(later)).toHaveLength(1);
  });

  test('of one person that are too much are told and left, and nobody else’s wait for them', async () => {
    const people = Array.from({ length: 5 }, somebody);
    for (const who of people) await write(who, today);
    await database.admin.query(`CREATE FUNCTION tracking.too_slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.user_id = '${people[2]!.userId}' THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$;
      CREATE TRIGGER too_slow BEFORE INSERT ON tracking.alerts FOR EACH ROW EXECUTE FUNCTION tracking.too_slow()`);
    const scan = createAlertScan({ ...scanOptions(writer), statementMs: 300 });
    const before = await metricOf(writer.metrics, 'worktide_alert_people_skipped_total');
    now = today + 10 * minute;
    expect(await scan.scan()).toBe(true);
    const counts = async () => Promise.all(people.map(async (who) => (await alertsOf(who)).length));
    expect(await counts()).toEqual([1, 1, 0, 1, 1]);
    expect(await metricOf(writer.metrics, 'worktide_alert_people_skipped_total')).toBe(before + 1);
    await database.admin.query('DROP FUNCTION tracking.too_slow CASCADE');
    now += minute;
    await scan.scan();
    expect(await counts()).toEqual([1, 1, 1, 1, 1]);
  });

  test('while no activity can come in raise no alarm, nor before it has come; what proves to have been so is told', async () => {
    const who = somebody();
    let log = true;
    const one = createAlertScan({ ...scanOptions(writer), sees: async () => log });
    const at = async (ms: number): Promise<Stored[]> => {
      now = today + ms;
      await one.scan();
      return alertsOf(who);
    };
    await write(who, today);
    await at(minute);
    log = false;
    for (const minutes of [2, 4, 6, 60]) expect(await at(minutes * minute)).toEqual([]);
    log = true;
    expect(await at(61 * minute)).toEqual([]);
    // It was busy from the third to the thirtieth minute, and away again.
    await use(who, today + 3 * minute, today + 30 * minute);
    expect(await at(64 * minute)).toEqual([]);
    expect(await at(65 * minute)).toMatchObject([{ from: today + 30 * minute, resolved: false }]);
    // A blink of the log is nothing.
    await use(who, today + 66 * minute, today + 67 * minute);
    log = false;
    await at(68 * minute);
    log = true;
    expect(await at(72 * minute)).toMatchObject([{ resolved: true }, { from: today + 67 * minute, resolved: false }]);
  });

  test('that fail leave nothing, and the next does it', async () => {
    const who = somebody();
    await write(who, today);
    now = today + 6 * minute;
    await database.admin.query('ALTER TABLE tracking.alerts RENAME TO alerts_away');
    await expect(scanner().scan()).rejects.toThrow();
    await database.admin.query('ALTER TABLE tracking.alerts_away RENAME TO alerts');
    await scanAt(today + 7 * minute);
    expect(await alertsOf(who)).toHaveLength(1);
  });
});
