import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { unavailable } from '@worktide/runtime';
import { until } from '@worktide/testing';
import fc from 'fast-check';
import { bearer } from '../testing.ts';
import { type Answer, type Gateway, ping, startGateway } from './testing.ts';

const open: Gateway[] = [];
afterEach(async () => {
  for (const gateway of open.splice(0)) await gateway.close();
});

async function start(...given: Parameters<typeof startGateway>): Promise<Gateway> {
  const gateway = await startGateway(...given);
  open.push(gateway);
  return gateway;
}

/** A log that answers when it is told to. */
function slowLog() {
  const waiting: (() => void)[] = [];
  return {
    waiting,
    send: () => new Promise<void>((resolve) => void waiting.push(resolve)),
    answer: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

const as = (organization: number, user = 0) => ({ authorization: bearer(organization, user) });
const gzip = { 'content-encoding': 'gzip' };
const codes = ({ body }: Answer): unknown => body.rejected?.map(({ index, code }) => [index, code]);
/** One ping of about so many bytes, of which most are of no use. */
const padded = (bytes: number) => ping({ padding: 'x'.repeat(bytes) });

test('a thousand items that are nothing are counted before they are looked at', async () => {
  const { post } = await start({ QUOTA_TRIAL: '1/1500' });
  const nothing = JSON.stringify(Array.from({ length: 1_000 }, () => ({})));
  expect(await post(nothing, as(1))).toMatchObject({ status: 400, body: { code: 'MISSING_FIELD' } });
  expect(await post(nothing, as(1))).toMatchObject({ status: 429, body: { code: 'PING_QUOTA_EXCEEDED' } });
});

describe('bytes that requests hold', () => {
  test('are those that have arrived: bodies that were only announced keep nobody out', async () => {
    const { begin, post, held } = await start({ QUEUE_MAX_BYTES: '8000000' });
    const sockets = [];
    for (let user = 0; user < 70; user++) sockets.push(await begin('[', 1_000_000, bearer(1, user)));
    await until('70 bodies', () => held() >= 70 * 4_097);
    expect(held()).toBe(70 * 4_097);
    for (const who of [as(1), as(2)]) expect((await post(ping(), who)).status).toBe(202);
    for (const socket of sockets) socket.destroy();
    await until('nothing is held', () => held() === 0);
  });

  test('are given back where others need them: many organisations that stall with all they can get keep nobody out', async () => {
    const { begin, post, held, metrics } = await start({ QUEUE_MAX_BYTES: '1000000' });
    const sockets = [];
    for (let organization = 1; organization <= 12; organization++) {
      const before = held();
      const part = Math.floor((1_000_000 - before) / 2) - 5_000;
      if (part < 1_000) break;
      sockets.push(await begin(`[${'x'.repeat(part)}`, 999_999, bearer(organization)));
      await until('what has come', () => held() >= before + part);
    }
    expect(held()).toBeGreaterThan(980_000);
    for (let user = 0; user < 5; user++) expect((await post(padded(3_000), as(50, user))).status).toBe(202);
    // One of those who had most has made room, and has been told.
    await until('one has given back', async () =>
      (await metrics()).includes('worktide_budget_given_back_total{budget="requests"} 1'),
    );
    for (const socket of sockets) socket.destroy();
    await until('nothing is held', () => held() === 0);
  });

  test('by one organisation are at most half: another finds room, whatever waits for the log', async () => {
    const log = slowLog();
    const { post, held, metrics } = await start({ QUEUE_MAX_BYTES: '2000000' }, { send: log.send });
    const large = JSON.stringify(Array.from({ length: 200 }, () => ping({ title: 'x'.repeat(1_000) })));
    const greedy: Promise<Answer>[] = [];
    for (let user = 0; user < 12; user++) greedy.push(post(large, as(1, user)));
    const refused = new Set<number>();
    for (const [i, one] of greedy.entries()) void one.then(({ status }) => status === 503 && refused.add(i));
    await until('twelve at the log or refused', () => log.waiting.length + refused.size === 12);
    expect(refused.size).toBeGreaterThan(0);
    expect(held()).toBeLessThanOrEqual(1_000_000);
    expect(await metrics()).toContain(`worktide_budget_held{budget="requests"} ${held()}`);
    const lawful = post(ping(), as(2));
    await until('the thirteenth', () => log.waiting.length + refused.size === 13);
    log.answer();
    expect((await lawful).status).toBe(202);
    for (const [i, one] of greedy.entries()) {
      const { status, body, headers } = await one;
      expect([status, body.code]).toEqual(refused.has(i) ? [503, 'QUEUE_FULL'] : [202, undefined]);
      if (status === 503) expect(headers.get('retry-after')).toBe('1');
    }
    expect(held()).toBe(0);
    expect(await metrics()).toContain(`worktide_ingest_backpressure_total{topic="pings"} ${refused.size}`);
  });

  test('while the log is waited for are the records alone, and nothing else of the body is in memory', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const inUse = (): number => {
      gc();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const log = slowLog();
    const { post, held } = await start({}, { send: log.send });
    const body = JSON.stringify(Array.from({ length: 60 }, () => padded(15_000)));
    const warm = post(body, as(1, 100));
    await until('the first at the log', () => log.waiting.length === 1);
    log.answer();
    await warm;
    const before = inUse();
    const answers: Promise<Answer>[] = [];
    for (let i = 0; i < 45; i++) {
      answers.push(post(gzipSync(body), { ...gzip, ...as(1 + (i % 3), i) }));
      await until(`${i + 1} at the log`, () => log.waiting.length === i + 1);
    }
    // 45 bodies of 0.9 MB are 40 MB, were they kept; what they come to on the log is 20 kB each. Asked until it is so: one
    // collection leaves what it meets in the middle of its end.
    await until('memory is free again', () => (inUse() - before) / 1e6 < 15);
    expect(held() / 45).toBeGreaterThan(4_096 + 60 * 150);
    expect(held() / 45).toBeLessThan(4_096 + 60 * 500);
    log.answer();
    for (const answer of answers) expect((await answer).status).toBe(202);
    expect(held()).toBe(0);
  });

  test('come back whatever ends a request', async () => {
    let outcome: 'taken' | 'away' | 'bug' = 'taken';
    const send = async (): Promise<void> => {
      if (outcome === 'away') throw unavailable('event log');
      if (outcome === 'bug') throw new Error('a bug');
    };
    const { begin, post, held } = await start({ QUEUE_MAX_BYTES: '1000000', QUOTA_TRIAL: '1/1000' }, { send });
    const large = JSON.stringify(Array.from({ length: 50 }, () => padded(2_000)));
    const bodies: [string | Buffer, Record<string, string>][] = [
      [JSON.stringify(ping()), {}],
      [large, {}],
      [gzipSync(large), gzip],
      [gzipSync(large).subarray(0, 300), gzip],
      [Buffer.concat([gzipSync(large), gzipSync('x')]), gzip],
      [large.slice(0, -1), {}],
      ['[', {}],
      ['x'.repeat(1_000_001), {}],
      [JSON.stringify(Array(1_001).fill(1)), {}],
      [JSON.stringify([padded(20_000)]), {}],
      ['1\n2', { 'content-type': 'application/x-ndjson' }],
      ['', { 'content-type': 'text/plain' }],
      // More than the organisation's share.
      [JSON.stringify(Array.from({ length: 60 }, () => padded(10_000))), {}],
    ];
    const step = fc.oneof(
      fc.record({ kind: fc.constant('post' as const), body: fc.constantFrom(...bodies), who: fc.nat(40) }),
      // Breaks off after so many bytes.
      fc.record({ kind: fc.constant('cut' as const), after: fc.nat(large.length), who: fc.nat(40) }),
    );
    const seen = new Set<number>();
    for (outcome of ['taken', 'away', 'bug'] as const) {
      for (const [body, headers] of bodies) {
        seen.add((await post(body, { ...headers, ...as(100) })).status);
        expect(held()).toBe(0);
      }
    }
    // Every ending there is.
    expect([...seen].sort()).toEqual([202, 400, 413, 415, 429, 500, 503]);
    const run = fc.record({ log: fc.constantFrom('taken', 'away', 'bug'), steps: fc.array(step, { maxLength: 12 }) });
    await fc.assert(
      fc.asyncProperty(run, async ({ log, steps }) => {
        outcome = log as typeof outcome;
        await Promise.all(
          steps.map(async (one) => {
            if (one.kind === 'post') {
              return void (await post(one.body[0], { ...one.body[1], ...as(one.who) }));
            }
            const socket = await begin(large.slice(0, one.after), large.length, bearer(one.who));
            socket.destroySoon();
            await new Promise((resolve) => socket.once('close', resolve));
          }),
        );
        await until('nothing is held', () => held() === 0);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe('requests of one user at once', () => {
  test('are so many; the next is told to wait, others are not, and an answer makes room', async () => {
    const log = slowLog();
    const { post, begin, held } = await start({ PINGS_MAX_IN_FLIGHT: '3' }, { send: log.send });
    const socket = await begin('[', 100, bearer(1));
    const waiting = [post(ping(), as(1)), post(ping(), as(1))];
    await until('two at the log', () => log.waiting.length === 2 && held() > 0);
    const refused = await post(ping(), as(1));
    expect(refused).toMatchObject({ status: 429, body: { code: 'TOO_MANY_REQUESTS_IN_FLIGHT' } });
    expect(refused.headers.get('retry-after')).toBe('1');
    const colleague = post(ping(), as(1, 1));
    await until('three at the log', () => log.waiting.length === 3);
    const before = held();
    socket.destroy();
    await until('less is held', () => held() < before);
    waiting.push(post(ping(), as(1)));
    await until('four at the log', () => log.waiting.length === 4);
    log.answer();
    for (const one of [...waiting, colleague]) expect((await one).status).toBe(202);
  });
});

describe('what a body costs', () => {
  const ndjson = { 'content-type': 'application/x-ndjson' };

  test('a ping that is too large is refused by itself, unread, in every form', async () => {
    const { post, stored } = await start();
    const good = ping();
    const hostile = [
      '9'.repeat(900_000),
      `{"id":1${'0'.repeat(400_000)}}`,
      `${'['.repeat(200_000)}${']'.repeat(200_000)}`,
      `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":1`)}}`,
      `"${'\\u4e2d'.repeat(50_000)}"`,
      JSON.stringify(padded(17_000)),
      // No JSON, which nobody looks at.
      `{"a":${'x'.repeat(20_000)}}`,
    ];
    for (const bad of hostile) {
      const list = `[${JSON.stringify(good)},${bad},${JSON.stringify(good)}]`;
      const answers = [
        await post(list),
        await post(gzipSync(list), gzip),
        await post(`${JSON.stringify(good)}\n${bad}\n${JSON.stringify(good)}`, ndjson),
      ];
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 202, body: { accepted: 2 } });
        expect(codes(answer)).toEqual([[1, 'PING_TOO_LARGE']]);
      }
      expect(await post(bad)).toMatchObject({ status: 400, body: { code: 'PING_TOO_LARGE' } });
    }
    expect(await stored()).toHaveLength(hostile.length * 3);
  });

  test('a ping of just the size is taken, whatever it holds that nobody knows', async () => {
    const { post } = await start();
    const size = (of: unknown): number => JSON.stringify(of).length;
    const most = { ...ping(), padding: '' };
    most.padding = 'x'.repeat(16_384 - size(most));
    const over = { ...most, padding: `${most.padding}x` };
    const odd = `{"__proto__":{"app":7},"constructor":{"prototype":1},${JSON.stringify(ping()).slice(1)}`;
    expect(await post(most)).toMatchObject({ status: 202 });
    expect(await post(over)).toMatchObject({ status: 400, body: { code: 'PING_TOO_LARGE' } });
    expect(codes(await post([most, over, ping()]))).toEqual([[1, 'PING_TOO_LARGE']]);
    expect(await post(odd)).toMatchObject({ status: 202 });
    expect(await post(`[${odd},${JSON.stringify(most)}]`)).toMatchObject({ status: 202, body: { accepted: 2 } });
    expect(({} as { app?: unknown }).app).toBeUndefined();
  });

  test('the quota counts a ping for each 1,000 bytes, decompressed, where that is more', async () => {
    const { post } = await start({ QUOTA_TRIAL: '1/1000' });
    const left = ({ headers }: Answer): number => Number(headers.get('ratelimit-remaining'));
    expect(left(await post(ping(), as(1)))).toBe(999);
    expect(left(await post([ping(), ping(), ping()], as(1)))).toBe(996);
    const body = JSON.stringify(Array.from({ length: 60 }, () => padded(5_000)));
    const units = Math.ceil(body.length / 1_000);
    expect(left(await post(gzipSync(body), { ...gzip, ...as(2) }))).toBe(1_000 - units);
    const refusedForWhatIsInIt = await post(`${body.slice(0, -1)},}`, as(2));
    expect(refusedForWhatIsInIt.body.code).toBe('MALFORMED_JSON');
    expect(left(refusedForWhatIsInIt)).toBe(1_000 - 2 * units);
    const tooMany = JSON.stringify(Array.from({ length: 1_100 }, () => 'x'.repeat(100)));
    expect(left(await post(tooMany, as(3)))).toBe(1_000 - Math.ceil(tooMany.length / 1_000));
  });

  test('what would not fit into the quota is refused before it is inflated, and soon after a refusal too', async () => {
    const { post, metrics } = await start({ QUOTA_TRIAL: '1/500' });
    // Broken in the middle: whoever looks at it finds that.
    const broken = (bytes: number): Buffer => {
      const body = gzipSync(JSON.stringify([padded(bytes)]));
      body.fill(0xff, 40, body.length - 8);
      return body;
    };
    expect((await post(broken(400_000), { ...gzip, ...as(1) })).body.code).toBe('MALFORMED_BODY');
    const refused = await post(broken(400_000), { ...gzip, ...as(1) });
    expect(refused).toMatchObject({ status: 429, body: { code: 'PING_QUOTA_EXCEEDED' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(250);
    expect(await metrics()).toContain('worktide_pings_quota_refused_total 401');
    // 400 pings of 100 bytes count as 400, which shows only when they were read: once.
    const many = Array.from({ length: 400 }, () => 'x'.repeat(100));
    expect((await post(many.slice(0, 200), as(2))).body.code).toBe('NOT_A_PING');
    expect((await post(many, as(2))).status).toBe(429);
    expect((await post(broken(20_000), { ...gzip, ...as(2) })).status).toBe(429);
  });

  test('gzip that comes to more than it says is refused', async () => {
    const { post } = await start();
    const bomb = gzipSync('x'.repeat(900_000));
    bomb.writeUInt32LE(20, bomb.length - 4);
    const members = Buffer.concat([gzipSync(JSON.stringify([ping()])), gzipSync(' ')]);
    for (const body of [bomb, members, Buffer.alloc(0), gzipSync('x').subarray(0, 17)]) {
      expect(await post(body, gzip)).toMatchObject({ status: 400, body: { code: 'MALFORMED_BODY' } });
    }
    const claims = gzipSync('x');
    claims.writeUInt32LE(0xffffffff, claims.length - 4);
    expect(await post(claims, gzip)).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } });
  });

  test('large bodies of one are no line for others: small ones pass them, and large ones come by turns', async () => {
    const { post } = await start();
    const large = gzipSync(JSON.stringify(Array.from({ length: 900 }, () => ping({ title: 'x'.repeat(700) }))));
    let answered = 0;
    const greedy = Array.from({ length: 40 }, async (_, user) => {
      const { status } = await post(large, { ...gzip, ...as(1, user) });
      answered++;
      return status;
    });
    await until('an answer', () => answered > 0);
    expect((await post(ping(), as(2))).status).toBe(202);
    const whenSmall = answered;
    expect((await post(large, { ...gzip, ...as(3) })).status).toBe(202);
    const whenLarge = answered;
    expect(await Promise.all(greedy)).toEqual(Array(40).fill(202));
    expect(whenSmall).toBeLessThan(10);
    expect(whenLarge).toBeLessThan(20);
  });
});

describe.each(['memory', 'redis'])('devices of a user, counted in %s', (kind) => {
  const store = async (): Promise<string> => (kind === 'redis' ? backend('redis') : `memory:${randomUUID()}`);
  /** Organisations of this run: Redis remembers. */
  let organization = Math.floor(Math.random() * 900_000);
  const device = (deviceId: string, source = 'window') => ping({ deviceId, source });

  test('are so many: what names another is refused by itself, by every replica', async () => {
    const env = { PINGS_MAX_STREAMS: '3', KEY_VALUE_URL: await store() };
    const [one, two] = [await start(env), await start(env)];
    const me = ++organization;
    expect(codes(await one.post([device('a'), device('a', 'web')], as(me)))).toEqual([]);
    const mixed = [device('a'), device('b'), 7, device('c'), device('a', 'web'), device('c')];
    expect(codes(await two.post(mixed, as(me)))).toEqual([
      [2, 'NOT_A_PING'],
      [3, 'TOO_MANY_DEVICES'],
      [5, 'TOO_MANY_DEVICES'],
    ]);
    expect(await one.post(device('d'), as(me))).toMatchObject({ status: 400, body: { code: 'TOO_MANY_DEVICES' } });
    expect((await one.post([device('b'), ping({ deviceId: 'a' })], as(me))).status).toBe(202);
    expect((await one.post(device('d'), as(me, 1))).status).toBe(202);
    expect((await one.post(device('d'), as(++organization))).status).toBe(202);
    expect((await one.stored()).flatMap(({ record }) => record.pings.map((p) => p.deviceId)).sort()).toEqual([
      'a',
      'a',
      'a',
      'b',
      'd',
      'd',
    ]);
    expect(await two.metrics()).toContain('worktide_pings_rejected_total{code="TOO_MANY_DEVICES"} 2');
  });

  test('named by the thousand at once come to no more than the bound', async () => {
    const env = { PINGS_MAX_STREAMS: '100', KEY_VALUE_URL: await store() };
    const gateways = [await start(env), await start(env)];
    const me = ++organization;
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        gateways[i % 2]!.post(
          Array.from({ length: 80 }, (__, j) => device(`${i}-${j}`)),
          as(me),
        ),
      ),
    );
    const accepted = answers.reduce((sum, { body }) => sum + (body.accepted ?? 0), 0);
    expect(accepted).toBe(100);
    const stored = (await Promise.all(gateways.map((gateway) => gateway.stored()))).flat();
    expect(new Set(stored.flatMap(({ record }) => record.pings.map((p) => p.deviceId))).size).toBe(100);
  });
});

test('devices while the store is away: pings are taken, and each process has the bound', async () => {
  const { post } = await start({ PINGS_MAX_STREAMS: '2', KEY_VALUE_URL: 'redis://127.0.0.1:9' });
  const device = (deviceId: string) => ping({ deviceId });
  expect(codes(await post([device('a'), device('b'), device('c')]))).toEqual([[2, 'TOO_MANY_DEVICES']]);
  expect(codes(await post([device('b'), device('d'), device('a')]))).toEqual([[1, 'TOO_MANY_DEVICES']]);
  expect((await post(device('c'), as(1))).status).toBe(202);
});
