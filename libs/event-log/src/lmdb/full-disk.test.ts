import path from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type SmallDisk, smallDisk } from '@worktide/backends';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import { openEventLog } from '../open.ts';
import type { EventLog, Producer } from '../types.ts';

const full = { code: 'STORAGE_FULL', statusCode: 503, retryAfterSeconds: 30 };

let disk: SmallDisk;
const logs: EventLog[] = [];
/** What nobody handled, which would end a process. */
let unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);

beforeEach(async () => {
  disk = await smallDisk(32);
  unhandled = [];
  process.on('unhandledRejection', note);
  // lmdb prints every failed commit.
  jest.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(async () => {
  await Promise.all(logs.splice(0).map((log) => log.close()));
  await disk.remove();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

async function openLog(query = ''): Promise<EventLog> {
  const url = `lmdb:${path.join(disk.dir, 'log')}${query}`;
  const log = openEventLog(url, { clientId: 'test', log: silentLogger(), metrics: createMetrics() });
  logs.push(log);
  await log.admin.ensureTopics([{ name: 'events', partitions: 2, retentionMs: 86_400_000 }]);
  return log;
}

let sent = 0;
/** Sends one of 50 kB and answers its name, or the code of the refusal. */
async function send(producer: Producer): Promise<{ name: string; code: string | undefined }> {
  const name = `record-${sent++}`;
  const value = Buffer.alloc(50_000, ' ');
  value.write(name);
  const code = await producer.send('events', [{ key: `user-${sent % 10}`, value }]).then(
    () => undefined,
    (error) => error.code as string,
  );
  return { name, code };
}

async function namesIn(log: EventLog): Promise<Set<string>> {
  const parts = [0, 1].map((partition) => log.admin.read('events', { partition, fromOffset: 0, limit: 1_000_000 }));
  return new Set((await Promise.all(parts)).flat().map(({ value }) => value.toString().trim()));
}

describe('a log on a disk that is full', () => {
  test('refuses, answers every send, and goes on when there is room, with all that it acknowledged', async () => {
    const log = await openLog();
    const producer = log.producer();
    const outcomes: Awaited<ReturnType<typeof send>>[] = [];
    // Together and one by one: what is queued behind a failing commit has to be answered as well.
    await disk.fill({ butBytes: 2_000_000 });
    while (outcomes.filter(({ code }) => code).length < 40) {
      outcomes.push(...(await Promise.all(Array.from({ length: 10 }, () => send(producer)))));
    }
    for (let i = 0; i < 5; i++) outcomes.push(await send(producer));
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set([undefined, 'STORAGE_FULL']));
    await disk.free();
    for (let i = 0; i < 20; i++) outcomes.push(await send(producer));
    expect(outcomes.slice(-20).map(({ code }) => code)).toEqual(Array(20).fill(undefined));
    const acknowledged = outcomes.filter(({ code }) => code === undefined).map(({ name }) => name);
    expect([...(await namesIn(log))].sort()).toEqual(acknowledged.sort());
  });

  test('a transaction beside one that fails is not held up by it', async () => {
    const log = await openLog();
    const producer = log.producer();
    await send(producer);
    let handled = 0;
    const consumer = await log.consume({
      group: 'g',
      topics: ['events'],
      maxRecords: 1,
      handle: async (records) => {
        handled += records.length;
      },
    });
    await disk.fill();
    // Commits of offsets between sends that fail.
    for (let i = 0; i < 30; i++) expect((await send(producer)).code).toBe('STORAGE_FULL');
    await disk.free();
    for (let i = 0; i < 10; i++) expect((await send(producer)).code).toBeUndefined();
    await eventually(() => expect(handled).toBeGreaterThanOrEqual(11));
    await eventually(async () => expect(await consumer.lag()).toBe(0));
  });

  test('can be closed and opened again while it is', async () => {
    const log = await openLog();
    const { name } = await send(log.producer());
    await disk.fill();
    expect((await send(log.producer())).code).toBe('STORAGE_FULL');
    await log.close();
    const again = await openLog();
    expect(await namesIn(again)).toEqual(new Set([name]));
  });
});

describe('a log with a reserve', () => {
  test('refuses before the disk is full, reads on, lets its consumers wait, and goes on by itself', async () => {
    const log = await openLog('?reserveBytes=8000000');
    const producer = log.producer();
    const before = await send(producer);
    await disk.fill({ butBytes: 7_900_000 });
    await eventually(async () =>
      expect(await producer.send('events', [{ key: 'a', value: Buffer.from('x') }]).catch((e) => e)).toMatchObject(
        full,
      ),
    );
    expect([...(await namesIn(log))]).toContain(before.name);
    const seen = new Set<string>();
    const consumer = await log.consume({
      group: 'g',
      topics: ['events'],
      handle: async (records) => {
        for (const { value } of records) seen.add(value.toString().trim());
      },
    });
    await eventually(() => expect(consumer.state).toBe('retrying'));
    expect(() => consumer.check()).toThrow(expect.objectContaining({ cause: expect.objectContaining(full) }));
    expect(seen).toEqual(new Set());
    await disk.free();
    await eventually(() => expect(seen).toContain(before.name));
    await eventually(() => expect(consumer.state).toBe('running'));
    expect((await send(producer)).code).toBeUndefined();
  });

  test('is given in bytes, and to this log only', () => {
    const options = { clientId: 'test', log: silentLogger(), metrics: createMetrics() };
    for (const url of ['lmdb:/x?reserveBytes=1GB', 'lmdb:/x?reserveBytes=-1', 'kafka://a:1?reserveBytes=1']) {
      expect(() => openEventLog(url, options)).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
    }
  });
});
