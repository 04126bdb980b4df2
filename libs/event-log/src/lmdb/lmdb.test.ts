import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import { eventLogContract } from '../contract/contract.ts';
import { openEventLog } from '../open.ts';
import type { EventLog, StoredRecord } from '../types.ts';
import { openStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'worktide-lmdb-'));
const writerProcess = fileURLToPath(new URL('writer-process.ts', import.meta.url));
const day = 24 * 3_600_000;
afterAll(() => rm(folder, { recursive: true }));

describe('lmdb', () => {
  eventLogContract(async () => `lmdb:${folder}/contract`);
});

describe('on disk', () => {
  let path: string;
  let count = 0;
  const logs: EventLog[] = [];
  const children: ChildProcess[] = [];

  beforeEach(() => {
    path = join(folder, String(count++));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await Promise.all(logs.splice(0).map((log) => log.close()));
  });

  function openLog(): EventLog {
    const log = openEventLog(`lmdb:${path}`, { clientId: 'test', log: silentLogger(), metrics: createMetrics() });
    logs.push(log);
    return log;
  }

  async function closeAll(): Promise<void> {
    await Promise.all(logs.splice(0).map((log) => log.close()));
  }

  /** Starts a process that writes until it is killed; `acknowledged` grows as it goes. */
  function startWriter(name: string): { acknowledged: string[]; kill: () => Promise<void> } {
    const child = spawn(process.execPath, [writerProcess, `lmdb:${path}`, name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const acknowledged: string[] = [];
    createInterface({ input: child.stdout! }).on('line', (line) => acknowledged.push(line));
    return {
      acknowledged,
      async kill() {
        child.kill('SIGKILL');
        await once(child, 'close');
      },
    };
  }

  async function readAll(log: EventLog): Promise<StoredRecord[]> {
    const parts = [0, 1].map((partition) => log.admin.read('events', { partition, fromOffset: 0, limit: 1_000_000 }));
    return (await Promise.all(parts)).flat();
  }

  const makeTopic = (log: EventLog, retentionMs = day): Promise<void> =>
    log.admin.ensureTopics([{ name: 'events', partitions: 2, retentionMs }]);

  test('kill -9 of a writing process loses nothing acknowledged, round after round', async () => {
    await makeTopic(openLog());
    await closeAll();
    const acknowledged: string[] = [];
    for (const round of ['a', 'b', 'c']) {
      const writer = startWriter(round);
      await eventually(() => expect(writer.acknowledged.length).toBeGreaterThan(200));
      await writer.kill();
      acknowledged.push(...writer.acknowledged);
      const records = await readAll(openLog());
      await closeAll();
      const texts = new Set(records.map(({ value }) => value.toString()));
      expect(acknowledged.filter((text) => !texts.has(text))).toEqual([]);
      for (const partition of [0, 1]) {
        const offsets = records.filter((one) => one.partition === partition).map(({ offset }) => offset);
        expect(offsets).toEqual(offsets.map((_, i) => i));
      }
    }
  });

  test('two processes write at the same time, a consumer of one of them gets it all', async () => {
    const log = openLog();
    await makeTopic(log);
    const texts = new Set<string>();
    await log.consume({
      group: 'g',
      topics: ['events'],
      handle: async (batch) => {
        for (const { value } of batch) texts.add(value.toString());
      },
    });
    const writer = startWriter('other');
    const producer = log.producer();
    for (let i = 0; i < 300; i++) await producer.send('events', [{ key: `u${i % 7}`, value: Buffer.from(`own-${i}`) }]);
    await eventually(() => expect(writer.acknowledged.length).toBeGreaterThan(200));
    await writer.kill();
    await eventually(() => {
      expect(writer.acknowledged.filter((text) => !texts.has(text))).toEqual([]);
      expect([...texts].filter((text) => text.startsWith('own-'))).toHaveLength(300);
    });
  });

  test('every opening in a process shares the folder; the last one to close lets go of it', async () => {
    const [one, two] = [openLog(), openLog()];
    await makeTopic(one);
    await one.producer().send('events', [{ key: 'a', value: Buffer.from('x') }]);
    await one.close();
    expect(await two.admin.lag('nobody', ['events'])).toEqual({ events: 1 });
    await two.close();
    await expect(two.check()).rejects.toMatchObject({ statusCode: 503 });
    expect(await openLog().admin.lag('nobody', ['events'])).toEqual({ events: 1 });
  });

  test('an unknown topic is refused, as a log that does not take it, and stops nothing else', async () => {
    const log = openLog();
    await makeTopic(log);
    const producer = log.producer();
    const record = { key: 'a', value: Buffer.from('x') };
    await expect(producer.send('nowhere', [record])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await producer.send('events', [record]);
    expect(await readAll(log)).toHaveLength(1);
  });

  test('retention removes what is older, bounded per round; offsets go on, and no lag is left behind', async () => {
    const log = openLog();
    await makeTopic(log);
    const records = Array.from({ length: 50 }, (_, i) => ({ key: `u${i}`, value: Buffer.from(String(i)) }));
    await log.producer().send('events', records);
    const before = await readAll(log);
    await closeAll();
    const store = openStore(path);
    const written = before[0]!.timestamp;
    expect(await store.trim(written + day, 1_000)).toBe(0);
    expect(await store.trim(written + day + 10_000, 30)).toBe(30);
    expect(await store.trim(written + day + 10_000, 30)).toBe(20);
    expect(await store.trim(written + day + 10_000, 30)).toBe(0);
    await store.close();
    const again = openLog();
    expect(await readAll(again)).toEqual([]);
    expect(await again.admin.lag('nobody', ['events'])).toEqual({ events: 0 });
    await again.producer().send('events', [{ key: 'u1', value: Buffer.from('new') }]);
    const [next] = await readAll(again);
    expect(next!.offset).toBe(before.filter(({ partition }) => partition === next!.partition).length);
  });

  test('a bad URL is a configuration error', () => {
    const options = { clientId: 'test', log: silentLogger(), metrics: createMetrics() };
    for (const url of [
      'redis://a',
      'kafka://',
      'kafka://host',
      'kafka://a:1,b',
      'lmdb:',
      'lmdb:/x?prefx=a',
      'lmdb:/x?prefix=a/b',
    ]) {
      expect(() => openEventLog(url, options)).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
    }
  });
});
