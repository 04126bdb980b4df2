import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Consumer } from '@worktide/event-log';
import { silentLogger, uuidv7 } from '@worktide/runtime';
import { type PingEvent, pingsEnvelope } from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import { newStream, openWriter, stored, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { consumePings, type PingsOptions } from './consume.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await trackingDatabase();
});
afterAll(() => database?.drop());

let writer: TestWriter;
let consumers: Consumer[] = [];
beforeEach(async () => {
  writer = await openWriter(database.url);
});
afterEach(async () => {
  await stop();
  await writer.close();
});

async function start(more: Partial<PingsOptions> = {}): Promise<void> {
  const { eventLog, pingsCodec, lifecycle, metrics } = writer;
  const options = { ...writer, eventLog, pingsCodec, lifecycle, metrics, log: silentLogger(), parallel: 2, ...more };
  consumers = await consumePings(options);
}
async function stop(): Promise<void> {
  await Promise.all(consumers.map((consumer) => consumer.close()));
  consumers = [];
}

const at = Date.now() - 3_600_000;
const pingOf = (more: Partial<PingEvent> & Record<string, unknown> = {}) => ({
  id: uuidv7(),
  startedAt: at,
  endedAt: at + 1000,
  app: 'Code',
  host: null,
  state: 'active',
  deviceId: 'laptop',
  source: 'window',
  ...more,
});
const envelope = (user: { organizationId: string; userId: string }, pings: unknown[]) => ({
  organizationId: user.organizationId,
  userId: user.userId,
  receivedAt: Date.now(),
  pings,
});
async function send(...records: { key: string; value: Buffer }[]): Promise<void> {
  const producer = writer.eventLog.producer();
  await producer.send('pings', records);
  await producer.close();
}
const record = (user: { organizationId: string; userId: string }, pings: unknown[]) => ({
  key: user.userId,
  value: writer.pingsCodec.encode(envelope(user, pings)),
});
const caughtUp = () =>
  until(
    'everything is consumed',
    async () => (await writer.eventLog.admin.lag('session-writer', ['pings'])).pings === 0,
  );
const caughtUpSlowly = () =>
  until(
    'everything slow is consumed',
    async () => (await writer.eventLog.admin.lag('session-writer-slow', ['pings-slow']))['pings-slow'] === 0,
  );
const deadLetters = () => writer.eventLog.admin.read('pings.dead', { partition: 0, fromOffset: 0, limit: 1000 });

describe('following the log', () => {
  test('pings become entries and events; the same records again change nothing', async () => {
    const stream = newStream();
    const records = [0, 1, 2].map((i) =>
      record(stream, [pingOf({ startedAt: at + i * 1000, endedAt: at + i * 1000 + 1000 })]),
    );
    await send(
      ...records,
      record(stream, [pingOf({ app: 'Mail', host: 'mail.example', startedAt: at + 3000, endedAt: at + 3000 })]),
    );
    await start();
    await caughtUp();
    const before = await stored(database.admin, stream);
    expect(before.entries).toMatchObject([
      { start: at, end: at + 3000, key: { app: 'Code', host: null, state: 'active' } },
      { start: at + 3000, end: at + 3001, key: { app: 'Mail', host: 'mail.example' } },
    ]);
    const events = (await writer.published()).flatMap((r) => r.entries);
    expect(
      events.map(({ startedAt, endedAt, deviceId, source, deleted }) => ({
        startedAt,
        endedAt,
        deviceId,
        source,
        deleted,
      })),
    ).toEqual([
      { startedAt: at, endedAt: at + 3000, deviceId: 'laptop', source: 'window', deleted: false },
      { startedAt: at + 3000, endedAt: at + 3001, deviceId: 'laptop', source: 'window', deleted: false },
    ]);

    await stop();
    await writer.eventLog.admin.resetGroup('session-writer', 'pings', 'earliest');
    await start();
    await caughtUp();
    expect(await stored(database.admin, stream)).toEqual(before);
    expect((await writer.published()).flatMap((r) => r.entries)).toEqual(events);
    const { text } = await writer.metrics.render();
    expect(text).toMatch(/worktide_writer_pings_merged_total 8/);
    expect(text).toMatch(/worktide_writer_entries_total\{change="added"\} 2/);
    expect(text).toMatch(/worktide_writer_transaction_seconds_count/);
  });

  test('ids of users count without their case', async () => {
    const stream = newStream();
    const shouting = { organizationId: stream.organizationId.toUpperCase(), userId: stream.userId.toUpperCase() };
    await send(record(shouting, [pingOf()]), record(stream, [pingOf({ startedAt: at + 1000, endedAt: at + 2000 })]));
    await start();
    await caughtUp();
    const { entries } = await stored(database.admin, stream);
    expect(entries).toMatchObject([{ start: at, end: at + 2000 }]);
    for (const event of await writer.published()) expect(event.userId).toBe(stream.userId);
  });

  test('a bad ping is dead-lettered alone, the good ones of its record and all behind it are kept', async () => {
    const stream = newStream();
    const bad: [string, unknown][] = [
      ['BAD_PING', pingOf({ app: '' })],
      ['BAD_PING', { hello: 'world' }],
      ['BAD_PING', 'ping'],
      ['BAD_PING', pingOf({ startedAt: 1.5 })],
      ['BAD_PING', pingOf({ host: undefined as unknown as null })],
      ['END_BEFORE_START', pingOf({ endedAt: at - 1 })],
      ['TOO_LONG', pingOf({ startedAt: at - 32 * 86_400_000 })],
      ['IN_FUTURE', pingOf({ startedAt: at + 200 * 86_400_000, endedAt: at + 200 * 86_400_000 })],
      ['IN_FUTURE', pingOf({ startedAt: Number.MAX_SAFE_INTEGER, endedAt: Number.MAX_SAFE_INTEGER })],
      ['INVALID_TEXT', pingOf({ app: 'a\u0000b' })],
      ['INVALID_TEXT', pingOf({ host: '\ud800' })],
      ['INVALID_TEXT', pingOf({ deviceId: '\u0000' })],
      ['INVALID_TEXT', pingOf({ source: '\udc00' })],
    ];
    await send(
      record(stream, [pingOf(), ...bad.map(([, ping]) => ping), pingOf({ startedAt: at + 1000, endedAt: at + 2000 })]),
      record(stream, [pingOf({ startedAt: at + 2000, endedAt: at + 3000 })]),
    );
    await start();
    await caughtUp();
    expect((await stored(database.admin, stream)).entries).toMatchObject([{ start: at, end: at + 3000 }]);
    const dead = await deadLetters();
    expect(dead.map((d) => d.headers['worktide-reason-code'])).toEqual(bad.map(([code]) => code));
    for (const [i, letter] of dead.entries()) {
      expect(letter.key).toBe(stream.userId);
      // A record of its own: once mended, the value can go back to the topic as it is.
      const value = pingsEnvelope.parse(writer.pingsCodec.decode(letter.value));
      expect(value).toMatchObject({ organizationId: stream.organizationId, userId: stream.userId });
      expect(value.pings).toEqual(JSON.parse(JSON.stringify([bad[i]![1]])));
      expect(letter.headers).toMatchObject({ 'worktide-topic': 'pings', 'worktide-group': 'session-writer' });
    }
  });

  test('a record that is none is dead-lettered as it is', async () => {
    const stream = newStream();
    const garbage = [
      Buffer.from('garbage'),
      Buffer.alloc(0),
      writer.pingsCodec.encode([]),
      writer.pingsCodec.encode(envelope({ ...stream, userId: 'somebody' }, [pingOf()])),
      writer.pingsCodec.encode(envelope(stream, [])),
    ];
    await send(...garbage.map((value) => ({ key: stream.userId, value })), record(stream, [pingOf()]));
    await start();
    await caughtUp();
    const dead = await deadLetters();
    expect(dead.map((d) => d.value)).toEqual(garbage);
    expect(dead.map((d) => d.headers['worktide-reason-code'])).toEqual([
      'UNDECODABLE',
      'UNDECODABLE',
      'BAD_RECORD',
      'BAD_RECORD',
      'BAD_RECORD',
    ]);
    expect((await stored(database.admin, stream)).entries).toHaveLength(1);
  });

  test('months that retention has dropped are counted and let go, not dead-lettered', async () => {
    const stream = newStream();
    const old = at - 900 * 86_400_000;
    await send(record(stream, [pingOf({ startedAt: old, endedAt: old }), pingOf()]));
    await start();
    await caughtUp();
    expect((await stored(database.admin, stream)).entries).toMatchObject([{ start: at }]);
    expect(await deadLetters()).toEqual([]);
    expect((await writer.metrics.render()).text).toMatch(/worktide_writer_pings_let_go_total 1/);
  });

  test('while the database is away nothing is committed or dead-lettered, and it shows; then it goes on', async () => {
    const stream = newStream();
    await database.admin.query('REVOKE ALL ON tracking.streams FROM worktide_session_writer');
    try {
      await send(record(stream, [pingOf(), pingOf({ app: '' })]));
      await start();
      await until('the consumer says so', () => consumers[0]!.state === 'retrying');
      expect(() => consumers[0]!.check()).toThrow();
      expect((await writer.eventLog.admin.lag('session-writer', ['pings'])).pings).toBe(1);
      expect(await deadLetters()).toEqual([]);
    } finally {
      await database.admin.query('GRANT ALL ON tracking.streams TO worktide_session_writer');
    }
    await caughtUp();
    expect((await stored(database.admin, stream)).entries).toHaveLength(1);
    expect(await deadLetters()).toHaveLength(1);
  });

  test('20,000 offline pings of one user among others: exact', async () => {
    const stream = newStream();
    const others = Array.from({ length: 20 }, () => newStream());
    const base = at - 40 * 86_400_000;
    const offline = Array.from({ length: 20 }, (_, r) =>
      record(
        stream,
        // Shuffled over 14 hours, three apps in turn, each second once.
        Array.from({ length: 1000 }, (_, i) => {
          const t = ((r * 1000 + i) * 7919) % 20_000;
          return pingOf({
            startedAt: base + t * 2500,
            endedAt: base + t * 2500 + 2500,
            app: `app ${Math.floor(t / 10) % 3}`,
          });
        }),
      ),
    );
    await send(...offline.flatMap((r, i) => [r, record(others[i]!, [pingOf({ id: randomUUID() })])]));
    await start();
    await caughtUp();
    const { entries, gaps } = await stored(database.admin, stream);
    const found = new Set(entries.map((e) => `${e.start - base} ${e.end - base} ${e.key.app}`));
    const expected = Array.from({ length: 2000 }, (_, i) => `${i * 25_000} ${(i + 1) * 25_000} app ${i % 3}`);
    // A month's boundary may cut one of them.
    expect(expected.filter((entry) => !found.has(entry)).length).toBeLessThanOrEqual(1);
    expect(entries.reduce((sum, e) => sum + e.end - e.start, 0)).toBe(20_000 * 2500);
    expect(gaps).toEqual([]);
    for (const other of others) expect((await stored(database.admin, other)).entries).toHaveLength(1);
  });

  test('a ping that the database itself refuses is found among others’ and within its record, and dead-lettered alone', async () => {
    const [stream, other] = [newStream(), newStream()];
    await database.admin.query(
      `CREATE FUNCTION tracking.no_poison() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF NEW.app = 'poison' THEN RAISE 'not this one' USING ERRCODE = '22000'; END IF; RETURN NEW; END $$;
       CREATE TRIGGER no_poison BEFORE INSERT ON tracking.usage_entries FOR EACH ROW EXECUTE FUNCTION tracking.no_poison()`,
    );
    try {
      const poison = pingOf({ app: 'poison', startedAt: at + 2_000, endedAt: at + 3_000 });
      const pings = [0, 1, 3, 4].map((i) =>
        pingOf({ app: `app ${i}`, startedAt: at + i * 1_000, endedAt: at + (i + 1) * 1_000 }),
      );
      await send(
        record(other, [pingOf()]),
        record(stream, [pings[0], pings[1], poison, ...pings.slice(2)]),
        record(other, [pingOf({ startedAt: at + 1_000, endedAt: at + 2_000 })]),
      );
      await start();
      await caughtUp();
      expect((await stored(database.admin, stream)).entries.map(({ key }) => key.app)).toEqual([
        'app 0',
        'app 1',
        'app 3',
        'app 4',
      ]);
      expect((await stored(database.admin, other)).entries).toMatchObject([{ start: at, end: at + 2_000 }]);
      const [letter, ...more] = await deadLetters();
      expect(more).toEqual([]);
      expect(pingsEnvelope.parse(writer.pingsCodec.decode(letter!.value)).pings).toEqual([poison]);
      expect(letter!.headers).toMatchObject({
        'worktide-reason-message': expect.stringContaining('not this one'),
        'worktide-organization': stream.organizationId,
        'worktide-user': stream.userId,
      });
      await until('it runs', () => consumers[0]!.state === 'running');
    } finally {
      await database.admin.query('DROP FUNCTION tracking.no_poison CASCADE');
    }
  });

  test('one request of 150 pings that are none stops nobody, and is not met again after a restart', async () => {
    const [hostile, other] = [newStream(), newStream()];
    const bad = Array.from({ length: 150 }, () => pingOf({ app: '' }));
    await send(record(hostile, [pingOf(), ...bad]), record(other, [pingOf()]));
    await start();
    await caughtUp();
    expect(consumers[0]!.state).toBe('running');
    expect((await stored(database.admin, hostile)).entries).toHaveLength(1);
    // A hundred alone, and the whole record for the rest.
    expect(await deadLetters()).toHaveLength(101);
    expect((await writer.metrics.render()).text).toContain(
      'worktide_consumer_senders_set_aside{group="session-writer"} 1',
    );
    await stop();
    await start();
    await send(record(other, [pingOf({ startedAt: at + 1_000, endedAt: at + 2_000 })]));
    await caughtUp();
    expect((await stored(database.admin, other)).entries).toMatchObject([{ start: at, end: at + 2_000 }]);
    expect(await deadLetters()).toHaveLength(101);
  });

  test('an organization whose pings are much work is merged by itself; nobody else’s wait for them', async () => {
    const [stream, other] = [newStream(), newStream()];
    const colleague = newStream({ organizationId: stream.organizationId });
    const base = at - 10 * 3_600_000;
    const seconds = 25_000;
    const second = (i: number) =>
      pingOf({ app: `app ${i % 2}`, startedAt: base + i * 1_000, endedAt: base + (i + 1) * 1_000 });
    const flicker = Array.from({ length: seconds / 1_000 }, (_, r) =>
      record(
        stream,
        Array.from({ length: 1_000 }, (_, i) => second(r * 1_000 + i)),
      ),
    );
    await send(...flicker);
    await start();
    await caughtUp();
    expect(await metricOf(writer.metrics, 'worktide_writer_slow_records_total')).toBe(0);

    // It says nothing that is not known, but to see that takes a look at all of it.
    const over = (app: string) => pingOf({ app, startedAt: base, endedAt: base + seconds * 1_000 });
    await send(record(stream, [over('zzz')]));
    await caughtUp();
    expect(await metricOf(writer.metrics, 'worktide_writer_slow_records_total')).toBe(1);
    await caughtUpSlowly();

    const client = await database.admin.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM tracking.streams WHERE user_id = $1 FOR UPDATE', [stream.userId]);
      await send(record(stream, [over('!')]), record(colleague, [pingOf()]), record(other, [pingOf()]));
      await caughtUp();
      expect((await stored(database.admin, other)).entries).toHaveLength(1);
      expect(await writer.eventLog.admin.lag('session-writer-slow', ['pings-slow'])).toEqual({ 'pings-slow': 2 });
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    await caughtUpSlowly();
    expect((await stored(database.admin, colleague)).entries).toHaveLength(1);
    const { entries } = await stored(database.admin, stream);
    expect(new Set(entries.map(({ key }) => key.app))).toEqual(new Set(['!']));
    expect(entries.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(seconds * 1_000);
    expect(await deadLetters()).toEqual([]);
  });

  test('one ping over more entries than a transaction takes: everybody’s are merged, and told', async () => {
    const [stream, other] = [newStream(), newStream()];
    const day = at - 86_400_000;
    const flicker = Array.from({ length: 200 }, (_, i) =>
      pingOf({ app: `${i % 2} ${'😀'.repeat(250)}`, startedAt: day + i * 1_000, endedAt: day + (i + 1) * 1_000 }),
    );
    await send(record(stream, flicker.slice(0, 100)), record(stream, flicker.slice(100)));
    await start({ maxRows: 50 });
    await caughtUp();
    await send(
      record(stream, [pingOf({ app: '!', startedAt: day, endedAt: day + 200_000 })]),
      record(other, [pingOf()]),
    );
    await caughtUp();
    expect((await stored(database.admin, stream)).entries).toMatchObject([{ start: day, end: day + 200_000 }]);
    expect((await stored(database.admin, other)).entries).toHaveLength(1);
    const told = (await writer.published()).filter(({ userId }) => userId === stream.userId);
    const last = new Map(told.flatMap(({ entries }) => entries).map((entry) => [entry.id, entry]));
    expect([...last.values()].filter(({ deleted }) => !deleted)).toMatchObject([{ app: '!', endedAt: day + 200_000 }]);
    expect(await deadLetters()).toEqual([]);
  });
});
