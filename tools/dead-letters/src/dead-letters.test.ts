import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type EventLog, openEventLog, type StoredRecord } from '@worktide/event-log';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { runDeadLetters } from './run.ts';

const hour = 3_600_000;
let data: string;
let log: EventLog;

beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'worktide-dead-letters-'));
  log = openEventLog(`lmdb:${data}/log`, { clientId: 'test', log: silentLogger(), metrics: createMetrics() });
  await log.admin.ensureTopics([
    { name: 'pings', partitions: 2, retentionMs: hour },
    { name: 'pings.dead', partitions: 1, retentionMs: hour },
    { name: 'usage', partitions: 1, retentionMs: hour },
  ]);
});
afterEach(async () => {
  await log.close();
  await rm(data, { recursive: true });
});

async function run(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runDeadLetters(
    argv,
    { WORKTIDE_DATA: data },
    { out: (l) => out.push(l), err: (l) => err.push(l) },
  );
  return { status, out: out.join('\n'), err: err.join('\n') };
}

/** Writes the values to `pings` and has a consumer refuse them all, in order. */
async function refuse(...values: (string | Buffer)[]): Promise<void> {
  const { 'pings.dead': before } = await log.admin.lag('counter', ['pings.dead']);
  for (const value of values) {
    await log.producer().send('pings', [{ key: 'user-1', value: Buffer.from(value), headers: { trace: 'abc' } }]);
  }
  const consumer = await log.consume({
    group: 'session-writer',
    topics: ['pings'],
    async handle(batch, { deadLetter }) {
      for (const one of batch) await deadLetter(one, { code: 'BAD_PING', message: 'end before start' });
    },
  });
  await until('all are refused', async () => {
    const { 'pings.dead': dead } = await log.admin.lag('counter', ['pings.dead']);
    return dead! >= before! + values.length;
  });
  await consumer.close();
}

async function pings(): Promise<StoredRecord[]> {
  const parts = [0, 1].map((partition) => log.admin.read('pings', { partition, fromOffset: 0, limit: 1_000 }));
  return (await Promise.all(parts)).flat();
}

describe('list', () => {
  test('prints reason, origin, time, key and a bounded, harmless preview of the value', async () => {
    const hostile = `\x1b[2J{"app":"${'x'.repeat(500)}"}`;
    await refuse('{"app":"one"}', Buffer.concat([Buffer.from([0, 0, 0, 0, 7]), Buffer.from('{"app":"two"}')]), hostile);
    const { status, out } = await run('list');
    expect(status).toBe(0);
    expect(out).toMatch(/^0 {2}\d{4}-\d\d-\d\dT[\d:.]+Z {2}BAD_PING: end before start$/m);
    expect(out).toMatch(/from pings partition \d offset 0, refused by session-writer/);
    expect(out).toContain('key user-1, 13 bytes: {"app":"one"}');
    expect(out).toContain('key user-1, 18 bytes: {"app":"two"}');
    expect(out).not.toContain('\x1b');
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThan(300);
    expect(out).toContain('pings.dead: 3 shown; 3 not replayed yet');
  });

  test('goes by pages', async () => {
    await refuse('a', 'b', 'c');
    const first = await run('list', '--topic', 'pings', '--limit', '2');
    expect(first.out).toContain('bytes: a');
    expect(first.out).toContain('pings.dead: 2 shown, next: --from 2; 3 not replayed yet');
    const second = await run('list', '--topic', 'pings', '--limit', '2', '--from', '2');
    expect(second.out).toContain('bytes: c');
    expect(second.out).not.toContain('bytes: b');
  });
});

describe('replay', () => {
  test('--all puts everything back once: key, value and own headers as they were', async () => {
    await refuse('a', 'b', 'c');
    expect(await run('replay', '--topic', 'pings', '--all')).toMatchObject({ status: 0, out: '3 put back onto pings' });
    const again = (await pings()).slice(3);
    expect(again.map(({ key, value }) => [key, value.toString()])).toEqual([
      ['user-1', 'a'],
      ['user-1', 'b'],
      ['user-1', 'c'],
    ]);
    expect(again[2]!.headers).toEqual({ trace: 'abc', 'worktide-replayed-from': 'pings.dead/0/2' });
    expect(await run('replay', '--topic', 'pings', '--all')).toMatchObject({
      status: 0,
      out: 'nothing left to replay',
    });
    expect(await pings()).toHaveLength(6);
    await refuse('d');
    // The three that were put back were refused again, and are new dead letters beside the fourth.
    expect((await run('replay', '--topic', 'pings', '--all')).out).toBe('4 put back onto pings');
    expect((await run('list')).out).toContain('7 shown; 0 not replayed yet');
  });

  test('--offset puts one back', async () => {
    await refuse('a', 'b', 'c');
    expect(await run('replay', '--topic', 'pings', '--offset', '1')).toMatchObject({
      status: 0,
      out: '1 put back onto pings',
    });
    expect((await pings()).slice(3).map(({ value }) => value.toString())).toEqual(['b']);
    expect(await run('replay', '--topic', 'pings', '--offset', '99')).toMatchObject({
      status: 1,
      err: 'there is no offset 99 in pings.dead',
    });
  });
});

describe('whose', () => {
  const [organizationId, one, other] = [randomUUID(), randomUUID(), randomUUID()];
  const of = (userId: string, app: string): string => JSON.stringify({ organizationId, userId, app });

  test('lists, by pages, and puts back what is one user’s', async () => {
    await refuse(of(one, 'a'), of(other, 'b'), of(one, 'c'), 'nobody’s');
    const list = await run('list', '--topic', 'pings', '--user', one.toUpperCase(), '--limit', '1');
    expect(list.out).toContain(`organization ${organizationId} user ${one}`);
    expect(list.out).toContain('1 shown, next: --from 1; 4 not replayed yet');
    const rest = await run('list', '--topic', 'pings', '--user', one, '--from', '1');
    expect(rest.out).toContain('"app":"c"');
    expect(rest.out).not.toContain('"app":"b"');
    expect((await run('list', '--organization', organizationId)).out).toContain('3 shown; 4');
    expect((await run('list', '--organization', one)).out).toContain('0 shown');
    expect(await run('replay', '--topic', 'pings', '--user', one)).toMatchObject({
      status: 0,
      out: '2 put back onto pings',
    });
    expect((await pings()).slice(4).map(({ value }) => value.toString())).toEqual([of(one, 'a'), of(one, 'c')]);
  });

  test('what cannot be put back is said, and holds up nothing behind it', async () => {
    const leftOut = { 'worktide-left-out': '1000000' };
    await refuse('a');
    const producer = log.producer();
    await producer.send('pings.dead', [{ key: 'k', value: Buffer.alloc(0), headers: leftOut }]);
    await refuse('b');
    expect(await run('replay', '--topic', 'pings', '--all')).toEqual({
      status: 1,
      out: '2 put back onto pings',
      err: 'offset 1 stays: its 1000000 bytes were too large to be kept.',
    });
    expect((await run('replay', '--topic', 'pings', '--all')).out).toBe('nothing left to replay');
  });
});

describe('mistakes', () => {
  test.each([
    [[]],
    [['lst']],
    [['list', 'pings']],
    [['list', '--tpoic', 'pings']],
    [['list', '--limit', '0']],
    [['list', '--limit', '1e9']],
    [['list', '--all']],
    [['replay', '--all']],
    [['replay', '--topic', 'pings']],
    [['replay', '--topic', 'pings', '--all', '--offset', '1']],
    [['replay', '--topic', 'pings', '--offset', '-1']],
    [['replay', '--topic', 'pings', '--all', '--limit', '3']],
    [['replay', '--topic', 'pings', '--all', '--user', '00000000-0000-0000-0000-000000000000']],
    [['list', '--user', 'me']],
  ])('%j: usage and 2', async (argv) => {
    const { status, out, err } = await run(...argv);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toContain('usage:');
  });

  test('a topic without dead letters, and a folder without a log, are said', async () => {
    expect(await run('replay', '--topic', 'usage', '--all')).toMatchObject({
      status: 1,
      err: 'there is no topic usage.dead; dead letters are kept for: pings',
    });
    const err: string[] = [];
    const status = await runDeadLetters(
      ['list'],
      { WORKTIDE_DATA: '/nowhere' },
      { out: () => {}, err: (l) => err.push(l) },
    );
    expect(status).toBe(1);
    expect(err[0]).toContain('there is no log in /nowhere/log');
  });
});
