import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import { unavailable } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { maxRecordBytes } from '../items/records.ts';
import { startGateway } from '../pings/testing.ts';
import { bearer, caller } from '../testing.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const path = '/api/v1/sync/batch';

async function start(...given: Parameters<typeof startGateway>) {
  const gateway = await startGateway(...given);
  open.push(gateway.close);
  return {
    ...gateway,
    post: (body: unknown, headers: Record<string, string> = {}) => gateway.post(body, headers, path),
    begin: (part: string | Buffer, length: number, authorization?: string) =>
      gateway.begin(part, length, authorization, path),
  };
}

const hour = 3_600_000;
const base = Math.floor(Date.now() / hour) * hour - 24 * hour;
const at = (hours: number): string => new Date(base + hours * hour).toISOString();
const entry = (key: string, more: Record<string, unknown> = {}) => ({
  idempotencyKey: key,
  startTime: at(0),
  endTime: at(1),
  status: 'STOPPED',
  ...more,
});
const entries = (count: number, more: Record<string, unknown> = {}) =>
  Array.from({ length: count }, (_, i) => entry(`key-${i}`, more));

describe('what is taken', () => {
  test('is on the log under its user before it is answered, in the order given', async () => {
    const { post, storedParts, metrics } = await start();
    const body = { entries: [entry('a'), entry('b', { userId: 'somebody', projectId: null, tags: ['x', 'x'] })] };
    const answer = await post(body, { 'x-request-id': 'r-1' });
    expect(answer).toMatchObject({ status: 202, body: { accepted: 2, rejected: [] } });
    expect(answer.headers.get('preference-applied')).toBeNull();
    const [part, ...more] = await storedParts();
    expect(more).toEqual([]);
    expect(part).toMatchObject({
      key: caller.userId,
      record: {
        organizationId: caller.organizationId,
        userId: caller.userId,
        batchId: answer.body.batchId,
        part: 0,
        parts: 1,
        requestId: 'r-1',
        refused: [],
      },
    });
    expect(part!.record.entries.map(({ index, idempotencyKey }) => [index, idempotencyKey])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ]);
    expect(part!.record.entries[1]).toMatchObject({
      timezone: 'UTC',
      tags: ['x'],
      startedAt: base,
      endedAt: base + hour,
    });
    expect(await metrics()).toContain('worktide_sync_entries_accepted_total 2');
  });

  test('is the same gzipped, with fields that nobody knows, and where there is nothing in it', async () => {
    const { post, storedParts } = await start();
    const given = [entry('a')];
    const zipped = gzipSync(JSON.stringify({ device: { entries: [1] }, entries: given }));
    expect(await post(zipped, { 'content-encoding': 'gzip' })).toMatchObject({ status: 202, body: { accepted: 1 } });
    expect(await post({ entries: [] })).toMatchObject({ status: 202, body: { accepted: 0, rejected: [] } });
    expect((await storedParts()).map(({ record }) => record.entries.length)).toEqual([1, 0]);
  });

  test('of 5,000 entries comes in records of 256 KB at most, whole and in order', async () => {
    const { post, storedParts, heldByBatches } = await start();
    const given = entries(5_000, { description: 'ü'.repeat(1_500) });
    given[4_000] = null as never;
    expect(await post({ entries: given })).toMatchObject({ status: 202, body: { accepted: 4_999 } });
    const parts = await storedParts();
    expect(parts.length).toBeGreaterThan(50);
    expect(Math.max(...parts.map(({ bytes }) => bytes))).toBeLessThanOrEqual(maxRecordBytes);
    expect(parts.map(({ record }) => [record.part, record.parts])).toEqual(parts.map((_, i) => [i, parts.length]));
    const places = parts.flatMap(({ record }) =>
      [...record.entries, ...record.refused].map(({ index }) => index).sort((a, b) => a - b),
    );
    expect(places).toEqual(given.map((_, i) => i));
    expect(heldByBatches()).toBe(0);
  });
});

describe('what is refused', () => {
  test('entries by themselves, each with its code, and they travel along', async () => {
    const { post, storedParts, metrics } = await start();
    const bad: [unknown, string, string][] = [
      [entry('c', { endTime: at(-1) }), 'END_BEFORE_START', 'invalid'],
      [entry('c', { startTime: at(48), endTime: at(49) }), 'IN_FUTURE', 'invalid'],
      [entry('c', { startTime: at(-400 * 24) }), 'TOO_LONG', 'invalid'],
      [entry('c', { timezone: 'Europe/Atlantis' }), 'INVALID_TIMEZONE', 'invalid'],
      [entry('c', { tags: Array.from({ length: 21 }, (_, i) => `${i}`) }), 'INVALID_TAGS', 'invalid'],
      [entry('c', { tags: ['x'.repeat(65)] }), 'INVALID_TAGS', 'invalid'],
      [entry('', {}), 'MISSING_IDEMPOTENCY_KEY', 'missing_idempotency_key'],
      [entry('c', { padding: 'x'.repeat(65_536) }), 'ENTRY_TOO_LARGE', 'invalid'],
      [17, 'NOT_AN_ENTRY', 'invalid'],
    ];
    const answer = await post({ entries: [entry('a'), ...bad.map(([one]) => one), entry('b')] });
    expect(answer).toMatchObject({ status: 202, body: { accepted: 2 } });
    const { rejected } = answer.body as unknown as { rejected: Record<string, unknown>[] };
    expect(rejected.map(({ index, code, reason }) => [index, code, reason])).toEqual(
      bad.map(([, code, reason], i) => [i + 1, code, reason]),
    );
    expect(rejected.map(({ idempotencyKey }) => idempotencyKey).slice(0, 7)).toEqual([...Array(6).fill('c'), null]);
    const { record } = (await storedParts())[0]!;
    expect(record.refused).toEqual(rejected);
    expect(record.entries.map(({ index }) => index)).toEqual([0, 10]);
    expect(await metrics()).toContain('worktide_sync_entries_rejected_total{code="INVALID_TAGS"} 2');
  });

  test.each<[string, unknown, Record<string, string>, number, string]>([
    ['5,001 entries', { entries: entries(5_001) }, {}, 413, 'TOO_MANY_ENTRIES'],
    ['50 MB and a byte', `{"x":"${'x'.repeat(50_000_001 - 21)}","entries":[]}`, {}, 413, 'BODY_TOO_LARGE'],
    [
      '50 MB and a byte, gzipped',
      gzipSync(`{"x":"${'x'.repeat(50_000_001 - 21)}","entries":[]}`),
      { 'content-encoding': 'gzip' },
      413,
      'BODY_TOO_LARGE',
    ],
    ['no JSON', '{"entries":[{}', {}, 400, 'INVALID_JSON'],
    ['no JSON in an entry', '{"entries":[{"a":b}]}', {}, 400, 'INVALID_JSON'],
    ['an array', '[]', {}, 400, 'MISSING_ENTRIES'],
    ['nothing', '{}', {}, 400, 'MISSING_ENTRIES'],
    ['no gzip', 'xxxxxxxxxxxxxxxxxxxxxxxxx', { 'content-encoding': 'gzip' }, 400, 'MALFORMED_BODY'],
    [
      'half a gzip',
      gzipSync(JSON.stringify({ entries: entries(99) })).subarray(0, 99),
      { 'content-encoding': 'gzip' },
      400,
      'MALFORMED_BODY',
    ],
    ['another coding', '{}', { 'content-encoding': 'br' }, 415, 'UNSUPPORTED_ENCODING'],
    ['text', '{}', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['lines', '{}', { 'content-type': 'application/x-ndjson' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['nobody', { entries: [] }, { authorization: '' }, 401, 'UNAUTHORIZED'],
  ])('%s: nothing of it is taken', async (_, body, headers, status, code) => {
    const { post, storedParts, heldByBatches } = await start();
    expect(await post(body, headers)).toMatchObject({ status, body: { code } });
    expect(await storedParts()).toEqual([]);
    expect(heldByBatches()).toBe(0);
  });

  test('50 MB are not too many', async () => {
    const { post } = await start();
    const body = `{"entries":["${'x'.repeat(50_000_000 - 16)}"]}`;
    expect(body).toHaveLength(50_000_000);
    expect((await post(body)).status).toBe(202);
  });

  test('more than 60 requests of a user in a minute', async () => {
    const { post } = await start();
    const statuses = [];
    for (let i = 0; i < 61; i++) statuses.push((await post({ entries: [] })).status);
    expect(statuses).toEqual([...Array(60).fill(202), 429]);
    expect((await post({ entries: [] }, { authorization: bearer(1) })).status).toBe(202);
  });
});

describe('what a batch holds', () => {
  test('is text of what was judged: 50 MB of it take less than 200 MB, whatever part of them is sent', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const inUse = (): number => {
      gc();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    let most = 0;
    const { post, heldByBatches } = await start(
      {},
      {
        send: async () => {
          most = Math.max(most, inUse());
        },
      },
    );
    // Of 9,900 bytes each; 8,000 of them are kept.
    const body = Buffer.from(
      JSON.stringify({ entries: entries(5_000, { description: '🌊'.repeat(2_000), padding: 'x'.repeat(1_750) }) }),
    );
    expect(body.length).toBeGreaterThan(49_000_000);
    const before = inUse();
    expect(await post(body)).toMatchObject({ status: 202, body: { accepted: 5_000 } });
    expect(most - before).toBeLessThan(200e6);
    expect(heldByBatches()).toBe(0);
  });

  test('by one organisation is at most half', async () => {
    const { begin, post, heldByBatches } = await start({ SYNC_QUEUE_MAX_BYTES: '8000000' });
    const sockets = [];
    const head = `{"entries":[`;
    const one = `${JSON.stringify(entry('a', { description: 'x'.repeat(1_900) }))},`;
    for (let user = 0; user < 5; user++) {
      sockets.push(await begin(head + one.repeat(100), 40_000_000, bearer(1, user)));
    }
    await until('as many as fit', () => heldByBatches() > 3_000_000);
    expect(heldByBatches()).toBeLessThanOrEqual(4_000_000);
    expect(await post({ entries: [entry('a')] }, { authorization: bearer(1, 9) })).toMatchObject({
      status: 503,
      body: { code: 'QUEUE_FULL' },
    });
    expect((await post({ entries: [entry('a')] }, { authorization: bearer(2) })).status).toBe(202);
    for (const socket of sockets) socket.destroy();
    await until('nothing is held', () => heldByBatches() === 0);
  });

  test('is given back where others need it: many organisations that stall keep nobody out', async () => {
    const { begin, post, heldByBatches, metrics } = await start({ SYNC_QUEUE_MAX_BYTES: '8000000' });
    const sockets = [];
    const one = `${JSON.stringify(entry('a', { description: 'x'.repeat(1_900) }))},`;
    for (let organization = 1; organization <= 12; organization++) {
      const before = heldByBatches();
      const room = Math.floor((8_000_000 - before) / 2) - 850_000;
      if (room < 100_000) break;
      const part = Math.floor(room / 2_400) * 2_000;
      sockets.push(await begin(`{"entries":[${one.repeat(room / 2_400)}`, 49_000_000, bearer(organization)));
      let last = -1;
      await until('all that has come', () => {
        const settled = heldByBatches() === last && last >= before + part;
        last = heldByBatches();
        return settled;
      });
    }
    expect(sockets.length).toBeGreaterThan(1);
    const lawful = [50, 51, 52, 53].map((organization) =>
      post({ entries: [entry('a')] }, { authorization: bearer(organization) }),
    );
    for (const answer of lawful) expect((await answer).status).toBe(202);
    const given = await metrics();
    expect(given).toMatch(/worktide_budget_given_back_total\{budget="batches"\} [1-9]/);
    for (const socket of sockets) socket.destroy();
    await until('nothing is held', () => heldByBatches() === 0);
  });

  test('is of eight at once for a user', async () => {
    const { begin, post, heldByBatches } = await start();
    const sockets = [];
    for (let i = 0; i < 8; i++) sockets.push(await begin('{', 1_000));
    await until('eight', () => heldByBatches() >= 8 * 786_432);
    const ninth = await post({ entries: [] });
    expect(ninth).toMatchObject({ status: 429, body: { code: 'TOO_MANY_REQUESTS_IN_FLIGHT' } });
    for (const socket of sockets) socket.destroy();
    await until('nothing is held', () => heldByBatches() === 0);
  });

  test('comes back where the log is away, and the client is told', async () => {
    const { post, heldByBatches } = await start({}, { send: () => Promise.reject(unavailable('event log')) });
    expect(await post({ entries: [entry('a')] })).toMatchObject({
      status: 503,
      body: { code: 'DEPENDENCY_UNAVAILABLE' },
    });
    expect(heldByBatches()).toBe(0);
  });
});

describe('Prefer: wait', () => {
  interface Asked {
    url: string;
    authorization: string | undefined;
    requestId: unknown;
  }

  /** A writer that answers so. */
  async function writer(answer: (batchId: string) => { status: number; body: unknown } | 'hang' | 'cut') {
    const asked: Asked[] = [];
    const server: Server = createServer((req, res) => {
      const batchId = /batches\/([^?]+)/.exec(req.url ?? '')?.[1] ?? '';
      asked.push({
        url: req.url ?? '',
        authorization: req.headers.authorization,
        requestId: req.headers['x-request-id'],
      });
      const given = answer(batchId);
      if (given === 'cut') return void req.destroy();
      if (given === 'hang') return;
      res.writeHead(given.status, { 'content-type': 'application/json' }).end(JSON.stringify(given.body));
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    open.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  const outcome = (batchId: string) => ({
    batchId,
    processed: 1,
    skipped: 0,
    conflicts: [],
    results: [{ index: 0, idempotencyKey: 'a', outcome: 'created' }],
  });
  const body = { entries: [entry('a')] };

  test('answers what the writer, asked as the caller, says of the batch', async () => {
    const { url, asked } = await writer((batchId) => ({ status: 200, body: outcome(batchId) }));
    const { post, metrics } = await start({ WRITER_URL: url });
    const answer = await post(body, { prefer: 'respond-async, Wait=100', 'x-request-id': 'r-2' });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(outcome(answer.body.batchId!));
    expect(answer.headers.get('preference-applied')).toBe('wait=30');
    expect(asked).toEqual([
      { url: `/api/v1/sync/batches/${answer.body.batchId}?wait=20`, authorization: 'Bearer agent', requestId: 'r-2' },
    ]);
    expect(await metrics()).toContain('worktide_sync_waits_total{result="known"} 1');
  });

  test('asks again where the first answer is only that it is on its way', async () => {
    let times = 0;
    const { url } = await writer((batchId) =>
      ++times < 3 ? { status: 202, body: {} } : { status: 200, body: outcome(batchId) },
    );
    const { post } = await start({ WRITER_URL: url });
    expect(await post(body, { prefer: 'wait=29' })).toMatchObject({ status: 200, body: { processed: 1 } });
  });

  test.each(['cut', 'wrong', 'unauthorized'] as const)('is 202 where the writer is %s', async (how) => {
    const { url } = await writer((batchId) => {
      if (how === 'cut') return 'cut';
      return { status: how === 'wrong' ? 200 : 401, body: { batchId } };
    });
    const { post, metrics } = await start({ WRITER_URL: url });
    expect(await post(body, { prefer: 'wait=5' })).toMatchObject({ status: 202, body: { accepted: 1 } });
    expect(await metrics()).toContain('worktide_sync_waits_total{result="failed"} 1');
  });

  test.each([undefined, 'wait=0', 'wait=-1', 'wait=x', 'respond-async', 'await=5', '', 'wait'])(
    'is not asked for by %j',
    async (prefer) => {
      const { url, asked } = await writer((batchId) => ({ status: 200, body: outcome(batchId) }));
      const { post } = await start({ WRITER_URL: url });
      expect((await post(body, prefer === undefined ? {} : { prefer })).status).toBe(202);
      expect(asked).toEqual([]);
    },
  );

  test('ends with its request, and with the process', async () => {
    const { url, asked } = await writer(() => 'hang');
    const gateway = await start({ WRITER_URL: url });
    const aborter = new AbortController();
    const headers = { authorization: 'Bearer agent', 'content-type': 'application/json', prefer: 'wait=30' };
    const options = { method: 'POST', headers, body: JSON.stringify(body) };
    const gone = fetch(gateway.url + path, { ...options, signal: aborter.signal }).catch(() => 'gone');
    await until('the writer is asked', () => asked.length === 1);
    aborter.abort();
    expect(await gone).toBe('gone');
    await until('nobody waits', async () =>
      (await gateway.metrics()).includes('worktide_budget_held{budget="waits"} 0'),
    );
    const late = fetch(gateway.url + path, options);
    await until('the writer is asked', () => asked.length === 2);
    const closed = gateway.close();
    expect((await late).status).toBe(202);
    await closed;
  });
});
