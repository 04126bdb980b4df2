import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import { unavailable, uuidv7 } from '@worktide/runtime';
import type { SubscriptionStatus } from '@worktide/schemas';
import { caller } from '../testing.ts';
import { ping, startGateway } from './testing.ts';

const open: (() => Promise<void>)[] = [];
let plan: SubscriptionStatus | undefined;
afterEach(async () => {
  plan = undefined;
  for (const close of open.splice(0)) await close();
});

async function start(env: Record<string, string> = {}, send?: () => Promise<void>) {
  const gateway = await startGateway(env, { plan: () => plan, ...(send ? { send } : {}) });
  open.push(gateway.close);
  return gateway;
}

describe('what is taken', () => {
  test('one ping, an array, NDJSON, gzip: each request one record under the user', async () => {
    const { post, stored, metrics } = await start();
    const lines = [ping(), ping({ app: 'Two' })].map((p) => JSON.stringify(p)).join('\n\n');
    for (const [body, headers, accepted] of [
      [ping({ deviceId: 'desk', url: 'https://www.e.com/x' }), {}, 1],
      [[ping(), ping()], { 'content-type': 'application/json; charset=utf-8' }, 2],
      [`${lines}\r\n`, { 'content-type': 'application/x-ndjson' }, 2],
      [gzipSync(JSON.stringify([ping()])), { 'content-encoding': 'gzip' }, 1],
    ] as const) {
      const answer = await post(body, headers);
      expect(answer).toMatchObject({ status: 202, body: { accepted, rejected: [] } });
    }
    const records = await stored();
    expect(records).toHaveLength(4);
    for (const { key, record } of records) {
      expect(key).toBe(caller.userId);
      expect(record).toMatchObject({ organizationId: caller.organizationId, userId: caller.userId });
    }
    expect(records[0]!.record.pings[0]).toMatchObject({
      deviceId: 'desk',
      host: 'e.com',
      state: 'active',
      source: 'window',
    });
    expect(records[1]!.record.pings[0]).toMatchObject({ deviceId: 'laptop', host: null });
    expect(await metrics()).toContain('worktide_pings_accepted_total 6');
  });

  test('other spellings of the same: a byte order mark, GZIP, x-gzip, application/ndjson', async () => {
    const { post, stored } = await start();
    const marked = (text: string): Buffer => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]);
    const line = (): string => JSON.stringify(ping());
    const long = (): unknown[] => Array.from({ length: 60 }, () => ping({ title: 'x'.repeat(500) }));
    for (const [body, headers, accepted] of [
      [marked(line()), {}, 1],
      [marked(JSON.stringify(long())), {}, 60],
      [marked(`${line()}\n${line()}`), { 'content-type': 'application/ndjson' }, 2],
      [marked(`\n${line()}`), { 'content-type': 'Application/X-NDJSON' }, 1],
      [gzipSync(marked(line())), { 'content-encoding': 'GZIP' }, 1],
      [gzipSync(line()), { 'content-encoding': 'x-gzip' }, 1],
      [gzipSync(marked(JSON.stringify(long()))), { 'content-encoding': ' X-GZip ' }, 60],
      [line(), { 'content-encoding': 'Identity' }, 1],
    ] as const) {
      expect(await post(body, headers)).toMatchObject({ status: 202, body: { accepted, rejected: [] } });
    }
    expect((await stored()).flatMap(({ record }) => record.pings)).toHaveLength(127);
    expect(await post(marked(''))).toMatchObject({ status: 400, body: { code: 'MALFORMED_JSON' } });
    expect(await post(marked(marked(line()).toString()))).toMatchObject({ body: { code: 'MALFORMED_JSON' } });
  });

  test('organisation and user are the credential’s, whatever the body says; a login counts as a device', async () => {
    const { post, stored } = await start();
    const body = ping({ organizationId: uuidv7(), userId: uuidv7() });
    expect((await post(body, { authorization: 'Bearer session' })).status).toBe(202);
    const [only] = await stored();
    expect(only!.record).toMatchObject({ organizationId: caller.organizationId, userId: caller.userId });
    expect(only!.record.pings[0]).toMatchObject({ deviceId: 's-1' });
  });

  test('bad pings are named by index, id and code; the good ones of the request are kept', async () => {
    const { post, stored, metrics } = await start();
    const bad = ping({ app: 'x'.repeat(257) });
    const answer = await post([ping(), bad, 7, ping()]);
    expect(answer).toMatchObject({ status: 202, body: { accepted: 2 } });
    expect(answer.body.rejected).toEqual([
      { index: 1, id: bad.id, code: 'APP_TOO_LONG', message: 'app has more than 256 characters.' },
      { index: 2, code: 'NOT_A_PING', message: 'A ping is a JSON object.' },
    ]);
    expect((await stored())[0]!.record.pings).toHaveLength(2);
    expect(await metrics()).toContain('worktide_pings_rejected_total{code="APP_TOO_LONG"} 1');
  });

  test('a title that is cut and a URL that is left out are warned of, and cost no ping', async () => {
    const { post, stored, metrics } = await start();
    const long = ping({ title: 'x'.repeat(1_025), url: 'https://e.com/' });
    const script = ping({ title: null, url: 'javascript:alert(1)', projectId: null });
    const answer = await post([ping({ url: '' }), long, ping({ app: '', url: '/' }), script]);
    expect(answer).toMatchObject({ status: 202, body: { accepted: 3, rejected: [{ index: 2, code: 'APP_EMPTY' }] } });
    expect(answer.body.warnings).toEqual([
      { index: 1, id: long.id, code: 'TITLE_TOO_LONG', message: 'title has more than 1024 characters and was cut.' },
      { index: 3, id: script.id, code: 'URL_SCHEME_REFUSED', message: 'url must not be a javascript: address.' },
    ]);
    const kept = (await stored())[0]!.record.pings;
    expect(kept.map(({ title, url }) => [title?.length, url])).toEqual([
      [undefined, undefined],
      [1_024, 'https://e.com/'],
      [undefined, undefined],
    ]);
    expect(await metrics()).toContain('worktide_pings_warnings_total{code="URL_SCHEME_REFUSED"} 1');
    expect((await post(ping())).body).toEqual({ accepted: 1, rejected: [] });
  });

  test('a cut-off NDJSON line is that line’s problem alone', async () => {
    const { post } = await start();
    const body = `${JSON.stringify(ping())}\n${JSON.stringify(ping()).slice(0, 40)}`;
    const answer = await post(body, { 'content-type': 'application/x-ndjson' });
    expect(answer).toMatchObject({
      status: 202,
      body: { accepted: 1, rejected: [{ index: 1, code: 'MALFORMED_JSON' }] },
    });
  });

  test('a large request is split into records that the broker takes', async () => {
    const { post, stored } = await start();
    const pings = Array.from({ length: 600 }, () => ping({ title: 'x'.repeat(1_000) }));
    expect(await post(pings)).toMatchObject({ status: 202, body: { accepted: 600 } });
    const records = await stored();
    expect(records.length).toBeGreaterThan(1);
    expect(records.flatMap(({ record }) => record.pings.map((p) => p.id)).sort()).toEqual(
      pings.map((p) => p.id).sort(),
    );
  });
});

describe('what is refused, with nothing stored', () => {
  const many = (n: number) => Array.from({ length: n }, () => ping());
  test.each<[string, unknown, Record<string, string>, number, string]>([
    ['malformed JSON', '[{"id":', {}, 400, 'MALFORMED_JSON'],
    ['a megabyte of nesting', '['.repeat(999_999), {}, 400, 'MALFORMED_JSON'],
    ['well-formed nesting', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, {}, 400, 'PING_TOO_LARGE'],
    ['an empty list', [], {}, 400, 'EMPTY_REQUEST'],
    ['an empty body', '', {}, 400, 'MALFORMED_JSON'],
    ['blank lines', '\n\n', { 'content-type': 'application/x-ndjson' }, 400, 'EMPTY_REQUEST'],
    ['one bad ping', ping({ endedAt: '2020' }), {}, 400, 'INVALID_TIME'],
    ['only bad pings of one kind', [7, 8], {}, 400, 'NOT_A_PING'],
    ['only bad pings of several kinds', [7, ping({ app: '' })], {}, 400, 'ALL_PINGS_REJECTED'],
    ['1,001 pings', many(1_001), {}, 413, 'TOO_MANY_PINGS'],
    ['a body over the limit', 'x'.repeat(1_000_001), {}, 413, 'BODY_TOO_LARGE'],
    ['a gzip bomb', gzipSync('x'.repeat(1_000_001)), { 'content-encoding': 'gzip' }, 413, 'BODY_TOO_LARGE'],
    ['gzip that is none', 'xxx', { 'content-encoding': 'gzip' }, 400, 'MALFORMED_BODY'],
    ['an odd encoding', '{}', { 'content-encoding': 'br' }, 415, 'UNSUPPORTED_ENCODING'],
    ['another type', '{}', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['no credential', ping(), { authorization: '' }, 401, 'UNAUTHORIZED'],
    ['a bad credential', ping(), { authorization: 'Bearer x' }, 401, 'UNAUTHORIZED'],
    [
      'a credential that cannot be checked now',
      ping(),
      { authorization: 'Bearer auth-away' },
      503,
      'DEPENDENCY_UNAVAILABLE',
    ],
  ])('%s', async (_what, body, headers, status, code) => {
    const { post, stored } = await start();
    const answer = await post(body, headers);
    expect(answer).toMatchObject({ status, body: { statusCode: status, code, path: '/api/v1/pings' } });
    if (status === 503) expect(answer.headers.get('retry-after')).toBe('1');
    expect(await stored()).toEqual([]);
  });

  test('every bad ping is named when all are', async () => {
    const { post } = await start();
    const { body } = await post([7, ping({ app: '' })]);
    expect(body.details).toEqual([
      { index: 0, code: 'NOT_A_PING', message: 'A ping is a JSON object.' },
      { index: 1, code: 'APP_EMPTY', message: 'app is empty.' },
    ]);
  });

  test('a request that ends before its body stores nothing and harms nobody', async () => {
    const { begin, post, stored } = await start();
    const socket = await begin('[{"id":', 1_000);
    socket.destroy();
    expect((await post(ping())).status).toBe(202);
    expect(await stored()).toHaveLength(1);
  });
});

describe('the bytes of an organisation', () => {
  test('over what its plan stores 409, and nothing of the request is taken; a larger plan takes it', async () => {
    plan = 'free';
    const { post, stored, metrics } = await start({ STORAGE_FREE: '0/2500' });
    const more = () => post([ping({ title: 'x'.repeat(500) }), ping({ title: 'y'.repeat(500) })]);
    expect((await more()).status).toBe(202);
    // The one that passes the limit is taken whole.
    expect((await more()).status).toBe(202);
    expect(await more()).toMatchObject({ status: 409, body: { code: 'STORAGE_QUOTA_EXCEEDED' } });
    expect(await stored()).toHaveLength(2);
    expect(await metrics()).toContain('worktide_storage_quota_refused_total{kind="pings"} 1');
    plan = 'pro';
    expect((await more()).status).toBe(202);
    expect(await stored()).toHaveLength(3);
  });
});

describe('the quota of an organisation', () => {
  const five = () => Array.from({ length: 5 }, () => ping());

  test.each([undefined, 'free'] as const)(
    'on plan %s: over it 429, and nothing of the request is taken',
    async (own) => {
      plan = own;
      const { post, stored, metrics } = await start({ QUOTA_FREE: '1/8', QUOTA_TRIAL: '1/8' });
      const first = await post(five());
      expect(first.status).toBe(202);
      expect(first.headers.get('ratelimit-policy')).toBe('"pings";q=8;w=8');
      expect(first.headers.get('ratelimit')).toBe('"pings";r=3;t=5');
      // Another user of the organisation, by another credential.
      const refused = await post(five(), { authorization: 'Bearer session' });
      expect(refused).toMatchObject({ status: 429, body: { code: 'PING_QUOTA_EXCEEDED', path: '/api/v1/pings' } });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(2);
      expect(refused.headers.get('ratelimit-limit')).toBe('8');
      expect(await stored()).toHaveLength(1);
      expect(await metrics()).toContain('worktide_pings_quota_refused_total 5');
    },
  );

  test('a larger plan counts as soon as it is known; enterprise has no limit and shows none', async () => {
    plan = 'free';
    const { post } = await start({ QUOTA_FREE: '1/5', QUOTA_PRO: '1000/1000' });
    expect((await post(five())).status).toBe(202);
    expect((await post(five())).status).toBe(429);
    plan = 'enterprise';
    const answer = await post(five());
    expect(answer.status).toBe(202);
    expect(answer.headers.get('ratelimit')).toBeNull();
    plan = 'pro';
    let status = 429;
    for (let deadline = Date.now() + 10_000; status !== 202 && Date.now() < deadline; ) {
      ({ status } = await post(five()));
    }
    expect(status).toBe(202);
  });

  test('replicas share it, and Redis that is away stops nobody', async () => {
    const together = { QUOTA_TRIAL: '1/8', KEY_VALUE_URL: 'memory:quota-test' };
    const [one, two] = [await start(together), await start(together)];
    expect((await one.post(five())).status).toBe(202);
    expect((await two.post(five())).status).toBe(429);
    const alone = await start({ QUOTA_TRIAL: '1/8', KEY_VALUE_URL: 'redis://127.0.0.1:9' });
    expect((await alone.post(five())).status).toBe(202);
    expect((await alone.post(five())).status).toBe(429);
  });
});

describe('when the log is in trouble', () => {
  test('a full queue is 503 with Retry-After, and nothing of the request is kept', async () => {
    const { post, stored } = await start({ QUEUE_MAX_BYTES: '50' });
    const answer = await post(ping());
    expect(answer).toMatchObject({ status: 503, body: { code: 'QUEUE_FULL' } });
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await stored()).toEqual([]);
  });

  test('bodies held beyond the bound are refused unread', async () => {
    const { post, metrics } = await start({ QUEUE_MAX_BYTES: '8500' });
    expect(await post([ping(), ping()])).toMatchObject({ status: 503, body: { code: 'QUEUE_FULL' } });
    expect(await metrics()).toContain('worktide_ingest_backpressure_total{topic="pings"} 1');
  });

  test('a log that is away is 503; the next request is taken again', async () => {
    let away = true;
    const { post } = await start({}, async () => {
      if (away) throw unavailable('event log');
    });
    expect(await post(ping())).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
    away = false;
    expect((await post(ping())).status).toBe(202);
  });
});
