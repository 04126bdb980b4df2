import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { freshDatabase } from '@worktide/backends';
import { type EventLog, openEventLog, type Producer } from '@worktide/event-log';
import {
  AppError,
  createLifecycle,
  createMetrics,
  type Lifecycle,
  type Metrics,
  silentLogger,
  sleep,
  unavailable,
} from '@worktide/runtime';
import { until } from '@worktide/testing';
import {
  createOutbox,
  createPool,
  type Outbox,
  type OutboxEvent,
  type OutboxOptions,
  type OutboxTicket,
  type Pool,
  prepareServiceDatabase,
  transaction,
  transactionWithEvents,
} from './index.ts';
import { packEvents, unpackEvents } from './outbox-codec.ts';

const topic = 'things';
let database: Awaited<ReturnType<typeof freshDatabase>>;
let folder: string;
let pool: Pool;
let eventLog: EventLog;
let producer: Producer;
let from: number;
let metrics: Metrics;
let lifecycle: Lifecycle;

beforeAll(async () => {
  database = await freshDatabase();
  folder = await mkdtemp(join(tmpdir(), 'worktide-outbox-'));
  const log = silentLogger();
  const url = await prepareServiceDatabase({
    adminUrl: database.adminUrl,
    database: { schema: 'shop', role: 'worktide_test_outbox', folder, outbox: true },
    password: 'secret',
    log,
  });
  pool = createPool(url, { applicationName: 'outbox-test', log });
  eventLog = openEventLog(`lmdb:${join(folder, 'log')}`, { clientId: 'outbox-test', log, metrics: createMetrics() });
  await eventLog.admin.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
  producer = eventLog.producer();
});
afterAll(async () => {
  await producer.close();
  await eventLog.close();
  await pool.end();
  await database.drop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await pool.query('TRUNCATE outbox');
  const before = await eventLog.admin.read(topic, { partition: 0, fromOffset: 0, limit: 100_000 });
  from = (before.at(-1)?.offset ?? -1) + 1;
  metrics = createMetrics();
  lifecycle = createLifecycle({ log: silentLogger() });
});
afterEach(() => lifecycle.close());

/** Grace short, so that a sweep comes soon. */
const open = (more: Partial<OutboxOptions> = {}): Outbox =>
  createOutbox({ schema: 'shop', pool, producer, log: silentLogger(), metrics, lifecycle, graceMs: 100, ...more });

/** The log between the outbox and its real producer, which can be taken away. */
function cuttable(): { producer: Pick<Producer, 'send'>; away: boolean; attempts: number } {
  const state = {
    away: false,
    attempts: 0,
    producer: {
      send(name: string, records: Parameters<Producer['send']>[1]) {
        state.attempts++;
        if (state.away) return Promise.reject(unavailable('event-log'));
        return producer.send(name, records);
      },
    },
  };
  return state;
}

const events = (...keys: string[]): OutboxEvent[] =>
  keys.map((key) => ({ topic, key, value: Buffer.from(`value of ${key}`) }));

const write = (outbox: Outbox, ...keys: string[]): Promise<OutboxTicket> =>
  transaction(pool, (client) => outbox.write(client, events(...keys)));

const inLog = async (): Promise<string[]> =>
  (await eventLog.admin.read(topic, { partition: 0, fromOffset: from, limit: 100_000 })).map(({ key }) => key);

const rows = async (): Promise<number> => (await pool.query('SELECT count(*) AS n FROM outbox')).rows[0].n;

describe('outbox', () => {
  test('events are in the log when committed() resolves; the row goes with the next transaction', async () => {
    const outbox = open({ graceMs: 60_000 });
    const first = await write(outbox, 'a', 'b');
    expect(await inLog()).toEqual([]);
    await outbox.committed(first);
    expect(await inLog()).toEqual(['a', 'b']);
    expect(await rows()).toBe(1);
    await outbox.committed(await write(outbox, 'c'));
    expect(await rows()).toBe(1);
    expect(await inLog()).toEqual(['a', 'b', 'c']);
    await lifecycle.close();
    expect(await rows()).toBe(0);
  });

  test('a transaction without events writes no row and deletes what was published', async () => {
    const outbox = open({ graceMs: 60_000 });
    await outbox.committed(await write(outbox, 'a'));
    const nothing = await write(outbox);
    expect(await rows()).toBe(0);
    await outbox.committed(nothing);
    expect(await inLog()).toEqual(['a']);
  });

  test('when idle the sweep deletes published rows and publishes nothing twice', async () => {
    const outbox = open();
    await outbox.committed(await write(outbox, 'a'));
    await until('the row is gone', async () => (await rows()) === 0);
    expect(await inLog()).toEqual(['a']);
  });

  test('a rollback publishes nothing, and the rows it would have deleted are deleted later', async () => {
    const outbox = open({ graceMs: 60_000 });
    await outbox.committed(await write(outbox, 'a'));
    const failing = transaction(pool, async (client) => {
      await outbox.write(client, events('never'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await rows()).toBe(1);
    await outbox.committed(await write(outbox));
    expect(await rows()).toBe(0);
    expect(await inLog()).toEqual(['a']);
  });

  test('a crash between commit and publication: the next start publishes', async () => {
    const dead = createLifecycle({ log: silentLogger() });
    await write(open({ lifecycle: dead }), 'a', 'b');
    await dead.close();
    expect(await inLog()).toEqual([]);
    open();
    await until('published', async () => (await inLog()).length === 2);
    expect(await inLog()).toEqual(['a', 'b']);
    await until('the row is gone', async () => (await rows()) === 0);
  });

  test('a crash between publication and deletion: published again, nothing else', async () => {
    const dead = createLifecycle({ log: silentLogger() });
    const outbox = open({ lifecycle: dead, graceMs: 60_000 });
    await outbox.committed(await write(outbox, 'a'));
    // As the database looks when the process died before its clean end.
    const { rows: kept } = await pool.query('SELECT id, events FROM outbox');
    await dead.close();
    await pool.query('INSERT INTO outbox VALUES ($1, now(), $2)', [kept[0].id, kept[0].events]);
    open();
    await until('the row is gone', async () => (await rows()) === 0);
    expect(await inLog()).toEqual(['a', 'a']);
  });

  test('two processes sweep at once: every row is published by one of them', async () => {
    const packed = Array.from({ length: 300 }, (_, i) => packEvents(events(`k${i}`)));
    await pool.query(
      'INSERT INTO outbox SELECT gen_random_uuid(), now(), events FROM unnest($1::bytea[]) AS t (events)',
      [packed],
    );
    const [one, two] = [open({ graceMs: 60_000 }), open({ graceMs: 60_000 })];
    await Promise.all([one.sweep(), two.sweep()]);
    await until('the rows are gone', async () => (await rows()) === 0);
    const keys = await inLog();
    expect(keys).toHaveLength(300);
    expect(new Set(keys).size).toBe(300);
  });

  test('a sweep that dies while it publishes loses nothing: its rows come due again', async () => {
    await pool.query('INSERT INTO outbox VALUES (gen_random_uuid(), now(), $1)', [packEvents(events('a'))]);
    const cut = cuttable();
    cut.away = true;
    const outbox = open({ producer: cut.producer, graceMs: 60_000 });
    await until('tried', () => cut.attempts > 0);
    expect(() => outbox.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
    // Leased: nobody else takes it meanwhile.
    expect(await open({ graceMs: 60_000 }).sweep()).toBe(0);
    await pool.query('UPDATE outbox SET due_at = now()');
    open({ graceMs: 60_000 });
    await until('the row is gone', async () => (await rows()) === 0);
    expect(await inLog()).toEqual(['a']);
  });

  test('rows of a transaction still open are neither published nor lost', async () => {
    const outbox = open({ graceMs: 1 });
    const client = await pool.connect();
    // With a grace this short a sweep may publish beside the writer: twice is lawful, never is not.
    const published = async (): Promise<string[]> => [...new Set(await inLog())];
    try {
      await client.query('BEGIN');
      await outbox.write(client, events('late'));
      await outbox.committed(await write(outbox, 'early'));
      await outbox.sweep();
      await outbox.sweep();
      expect(await published()).toEqual(['early']);
      await client.query('COMMIT');
    } finally {
      // Also after a failure: an open transaction would hold up every test behind this one.
      client.release(true);
    }
    await until('swept', async () => (await published()).includes('late'));
  });

  test('the log away: committed() waits, is seen in readiness and metrics, and publishes once it is back', async () => {
    const cut = cuttable();
    const outbox = open({ producer: cut.producer });
    cut.away = true;
    let done = false;
    const waiting = outbox.committed(await write(outbox, 'a')).then(() => {
      done = true;
    });
    await until('tried twice', () => cut.attempts >= 2);
    expect(done).toBe(false);
    expect(() => outbox.check()).toThrow(expect.objectContaining({ code: 'DEPENDENCY_UNAVAILABLE' }));
    expect((await metrics.render()).text).toMatch(/worktide_outbox_unpublished\{schema="shop"\} 1/);
    expect(await rows()).toBe(1);
    cut.away = false;
    await waiting;
    expect(await inLog()).toEqual(['a']);
    expect(outbox.check()).toBeUndefined();
    expect((await metrics.render()).text).toMatch(/worktide_outbox_unpublished\{schema="shop"\} 0/);
  });

  test('too much unpublished: write() is 503, leaves nothing behind, and takes again afterwards', async () => {
    const cut = cuttable();
    cut.away = true;
    const outbox = open({ producer: cut.producer, maxUnpublishedBytes: 100 });
    const waiting = outbox.committed(await write(outbox, 'a', 'b', 'c'));
    await expect(write(outbox, 'd')).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 });
    expect(await rows()).toBe(1);
    cut.away = false;
    await waiting;
    await outbox.committed(await write(outbox, 'd'));
    expect(await inLog()).toEqual(['a', 'b', 'c', 'd']);
  });

  test('left where it is full: write() never refuses, readiness and metrics tell, the sweep publishes all in order', async () => {
    const cut = cuttable();
    cut.away = true;
    const outbox = open({ producer: cut.producer, maxUnpublishedBytes: 100, whenFull: 'leave' });
    const waiting = outbox.committed(await write(outbox, 'a', 'b', 'c'));
    const left = Array.from({ length: 30 }, (_, i) => `left ${String(i).padStart(2, '0')}`);
    for (const key of left) {
      // Resolves though the log is away: nobody waits for it.
      await outbox.committed(await write(outbox, key));
      // Their ids are by millisecond.
      await sleep(2);
    }
    expect(await rows()).toBe(31);
    expect(() => outbox.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
    expect((await metrics.render()).text).toMatch(/worktide_outbox_left_total\{schema="shop"\} 30/);
    expect((await metrics.render()).text).toMatch(/worktide_outbox_unpublished\{schema="shop"\} 1/);
    cut.away = false;
    await waiting;
    // Taken by sweeps while the log was away, some come due again only when that lease ends.
    await pool.query('UPDATE outbox SET due_at = now()');
    await until('the rows are gone', async () => (await rows()) === 0);
    const keys = await inLog();
    expect(keys.filter((key) => key.startsWith('left'))).toHaveLength(30);
    expect([...keys].sort()).toEqual(['a', 'b', 'c', ...left]);
    expect(outbox.check()).toBeUndefined();
  });

  test('rows that were left are published in the order of their making, once, also by two that sweep', async () => {
    const cut = cuttable();
    cut.away = true;
    const outbox = open({ producer: cut.producer, maxUnpublishedBytes: 1, whenFull: 'leave', graceMs: 60_000 });
    const waiting = outbox.committed(await write(outbox, 'first'));
    const left = Array.from({ length: 15 }, (_, i) => `left ${String(i).padStart(2, '0')}`);
    for (const key of left) {
      await outbox.committed(await write(outbox, key));
      await sleep(2);
    }
    cut.away = false;
    await waiting;
    await pool.query('UPDATE outbox SET due_at = now()');
    const other = open({ graceMs: 60_000 });
    await Promise.all([outbox.sweep(), outbox.sweep(), other.sweep()]);
    await until('the rows are gone', async () => (await rows()) === 0);
    const keys = await inLog();
    expect(keys.filter((key) => key !== 'first')).toEqual(left);
    expect(new Set(keys).size).toBe(16);
  });

  test('one write may be left where the others are refused', async () => {
    const cut = cuttable();
    cut.away = true;
    const outbox = open({ producer: cut.producer, maxUnpublishedBytes: 1 });
    const waiting = outbox.committed(await write(outbox, 'a'));
    const ticket = await transaction(pool, (client) => outbox.write(client, events('told'), 'leave'));
    await outbox.committed(ticket);
    await expect(write(outbox, 'refused')).rejects.toMatchObject({ statusCode: 503 });
    cut.away = false;
    await waiting;
    await pool.query('UPDATE outbox SET due_at = now()');
    await until('the rows are gone', async () => (await rows()) === 0);
    expect((await inLog()).sort()).toEqual(['a', 'told']);
  });

  test('what this process publishes while its sweep runs is not published again by that sweep', async () => {
    const state = { away: true, ownTried: 0, swept: 0 };
    const gate = Promise.withResolvers<void>();
    const outbox = open({
      graceMs: 60_000,
      producer: {
        async send(name, records) {
          const own = records[0]!.key === 'own';
          if (own) state.ownTried++;
          else {
            state.swept++;
            await gate.promise;
          }
          if (own && state.away) throw unavailable('event-log');
          return producer.send(name, records);
        },
      },
    });
    // Past the first sweep, which comes by itself.
    await outbox.sweep();
    const waiting = outbox.committed(await write(outbox, 'own'));
    await until('tried', () => state.ownTried > 0);
    // A full batch of others, so that the sweep looks again after it, when its own row is due as well.
    const packed = Array.from({ length: 20 }, (_, i) => packEvents(events(`k${i}`)));
    await pool.query(
      `INSERT INTO outbox SELECT gen_random_uuid(), now() - interval '1 minute', events
       FROM unnest($1::bytea[]) AS t (events)`,
      [packed],
    );
    await pool.query("UPDATE outbox SET due_at = now() - interval '1 second'");
    const sweeping = outbox.sweep();
    await until('the sweep is at work', () => state.swept > 0);
    state.away = false;
    await waiting;
    gate.resolve();
    expect(await sweeping).toBe(20);
    expect((await inLog()).filter((key) => key === 'own')).toHaveLength(1);
  });

  test('closing while the log is away: committed() rejects 503 and the row stays for the next start', async () => {
    const cut = cuttable();
    cut.away = true;
    const outbox = open({ producer: cut.producer });
    const waiting = expect(outbox.committed(await write(outbox, 'a'))).rejects.toMatchObject({ statusCode: 503 });
    await until('tried', () => cut.attempts > 0);
    await lifecycle.close();
    await waiting;
    expect(await rows()).toBe(1);
  });

  test('the database away while sweeping: nothing breaks, and the sweep goes on when it is back', async () => {
    const url = new URL(database.adminUrl);
    url.port = '9';
    const dead = createPool(url.href, { applicationName: 'outbox-test', log: silentLogger() });
    await expect(open({ pool: dead, graceMs: 60_000 }).sweep()).rejects.toMatchObject({ statusCode: 503 });
    await lifecycle.close();
    await dead.end();
  });

  test('a damaged row holds up nothing behind it and stays where it can be looked at', async () => {
    await pool.query("INSERT INTO outbox VALUES (gen_random_uuid(), now() - interval '1 minute', 'nonsense')");
    await pool.query('INSERT INTO outbox VALUES (gen_random_uuid(), now(), $1)', [packEvents(events('a'))]);
    await open({ graceMs: 60_000 }).sweep();
    await until('published', async () => (await inLog()).length === 1);
    await until('one row left', async () => (await rows()) === 1);
  });

  test('an event that could never be published is refused before it is stored', async () => {
    const outbox = open();
    const large = [{ topic, key: 'k', value: Buffer.alloc(900_001) }];
    const refused = transaction(pool, (client) => outbox.write(client, large));
    await expect(refused).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' });
    expect(await rows()).toBe(0);
    const fits = [{ topic, key: 'k', value: Buffer.alloc(890_000, 7) }];
    await outbox.committed(await transaction(pool, (client) => outbox.write(client, fits)));
    expect(await inLog()).toEqual(['k']);
  });

  test('a transaction that says much does so in several rows, and all of it arrives in order', async () => {
    const outbox = open({ graceMs: 60_000 });
    // 24 MB; three rows.
    const list = Array.from({ length: 30 }, (_, i) => ({ topic, key: `k${i}`, value: Buffer.alloc(800_000, i) }));
    const ticket = await transaction(pool, (client) => outbox.write(client, list));
    expect(await rows()).toBe(3);
    await outbox.committed(ticket);
    expect(await inLog()).toEqual(list.map(({ key }) => key));
    await outbox.committed(await write(outbox));
    expect(await rows()).toBe(0);
  });

  test('a row larger than the log’s queue, of before rows were divided, is published by the sweep in parts', async () => {
    const list = Array.from({ length: 30 }, (_, i) => ({ topic, key: `k${i}`, value: Buffer.alloc(800_000, i) }));
    await pool.query("INSERT INTO outbox VALUES (gen_random_uuid(), now() - interval '1 minute', $1)", [
      packEvents(list),
    ]);
    const small = eventLog.producer({ maxQueuedBytes: 10 * 1024 * 1024 });
    await open({ producer: small, graceMs: 60_000 }).sweep();
    await until('the row is gone', async () => (await rows()) === 0);
    expect(await inLog()).toEqual(list.map(({ key }) => key));
    await small.close();
  });

  const refusing = (): Pick<Producer, 'send'> => ({
    async send(name, records) {
      if (records.some(({ key }) => key.startsWith('bad')))
        throw new AppError('RECORD_TOO_LARGE', 'no', { statusCode: 413 });
      return producer.send(name, records);
    },
  });
  const aside = async () =>
    (await pool.query<{ reason: string; events: Buffer }>('SELECT reason, events FROM outbox_refused ORDER BY id'))
      .rows;

  test('what the log refuses for ever is put aside, counted, and can be published later; the rest goes on', async () => {
    const outbox = open({ producer: refusing(), graceMs: 60_000 });
    await outbox.committed(await write(outbox, 'a', 'bad 1', 'b'));
    await outbox.committed(await write(outbox, 'c'));
    expect(await inLog()).toEqual(['a', 'b', 'c']);
    // A row that somebody left behind, before others.
    await pool.query(
      "INSERT INTO outbox SELECT gen_random_uuid(), now() - interval '1 minute', events FROM unnest($1::bytea[]) AS t (events)",
      [['bad 2', 'd', 'e'].map((key) => packEvents(events(key)))],
    );
    await outbox.sweep();
    expect((await inLog()).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await rows()).toBe(0);
    expect((await aside()).map((row) => [row.reason, unpackEvents(row.events)[0]!.key]).sort()).toEqual([
      ['no', 'bad 1'],
      ['no', 'bad 2'],
    ]);
    expect(outbox.check()).toBeUndefined();
    expect((await metrics.render()).text).toMatch(/worktide_outbox_refused_total\{schema="shop"\} 2/);
    await pool.query('INSERT INTO outbox (id, due_at, events) SELECT id, now(), events FROM outbox_refused');
    await pool.query('DELETE FROM outbox_refused');
    await open({ graceMs: 60_000 }).sweep();
    await until('published', async () => (await inLog()).length === 7);
  });

  test('parallel writers: everything is published once and every row goes', async () => {
    const outbox = open({ graceMs: 60_000 });
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    await Promise.all(keys.map(async (key) => outbox.committed(await write(outbox, key))));
    expect((await inLog()).sort()).toEqual(keys.sort());
    await outbox.sweep();
    expect(await rows()).toBe(0);
  });
});

describe('a transaction with events', () => {
  test('they leave after its commit, in order, those of the attempt that succeeded alone; the result does not wait', async () => {
    const log = cuttable();
    log.away = true;
    const outbox = open({ producer: log.producer });
    let attempts = 0;
    const { result, published } = await transactionWithEvents({ pool, outbox }, async (client, tell) => {
      tell(...events(`a${++attempts}`));
      if (attempts === 1) await client.query("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$");
      tell(...events('b', 'c'));
      return 'done';
    });
    expect([result, await rows(), await inLog()]).toEqual(['done', 1, []]);
    log.away = false;
    await published;
    expect(await inLog()).toEqual(['a2', 'b', 'c']);
  });

  test('nothing of what was rolled back, and no row where nothing was told', async () => {
    const outbox = open({ graceMs: 60_000 });
    const failing = transactionWithEvents({ pool, outbox }, async (_client, tell) => {
      tell(...events('a'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    const { published } = await transactionWithEvents({ pool, outbox }, () => Promise.resolve());
    await published;
    expect([await rows(), await inLog()]).toEqual([0, []]);
  });
});

describe('packing', () => {
  test('gives back what was put in', () => {
    const list = [
      { topic: 'a', key: 'Schlüssel', value: Buffer.from([0, 1, 255]) },
      { topic: 'b', key: '', value: Buffer.alloc(0) },
    ];
    expect(unpackEvents(packEvents(list))).toEqual(list);
    expect(unpackEvents(packEvents([]))).toEqual([]);
  });

  test('bytes that are none of ours are told as such', () => {
    expect(() => unpackEvents(Buffer.from('nonsense'))).toThrow(AppError);
    expect(() => unpackEvents(Buffer.alloc(0))).toThrow(AppError);
  });
});
