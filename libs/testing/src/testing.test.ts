import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { createMetrics, uuidv7 } from '@worktide/runtime';
import { call, eventually, expectStatus, metricOf, startStubAuth, until } from './index.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

test('until gives the first answer that is one, throws what it last met, and asks at least once', async () => {
  const answers = [undefined, false, 0];
  expect(await until('a number', () => answers.shift(), { everyMs: 1 })).toBe(0);
  const failing = ['first', 'last'];
  const thrower = async () => {
    throw new Error(failing.length > 1 ? failing.shift() : failing[0]);
  };
  await expect(until('the end', thrower, { seconds: 0.01, everyMs: 1 })).rejects.toThrow(/^the end: not within .*last/);
  await expect(until('nothing', () => undefined, { seconds: 0 })).rejects.toThrow('(undefined)');
  expect(await until('at once', () => true, { seconds: 0 })).toBe(true);
});

test('eventually asserts until it holds, and fails with the assertion’s own words', async () => {
  let n = 0;
  await eventually(() => expect(++n).toBe(3), { everyMs: 1 });
  expect(n).toBe(3);
  await expect(eventually(() => expect(1).toBe(2), { seconds: 0.01 })).rejects.toThrow('Expected: 2');
});

test('a metric is the sum of what is asked for, 0 where it was not counted, and no metric at all is an error', async () => {
  const metrics = createMetrics();
  const counter = metrics.counter('things_total', 'x', ['kind', 'kindred']);
  expect(await metricOf(metrics, 'things_total')).toBe(0);
  counter.inc({ kind: 'a', kindred: 'b' }, 2);
  counter.inc({ kind: 'b', kindred: 'a' }, 3);
  metrics.counter('things_total_more', 'x').inc(100);
  expect(await metricOf(metrics, 'things_total')).toBe(5);
  expect(await metricOf(metrics, 'things_total', { kind: 'a' })).toBe(2);
  expect(await metricOf(metrics, 'things_total', { kindred: 'a', kind: 'b' })).toBe(3);
  expect(await metricOf(metrics, 'things_total', { kind: 'c' })).toBe(0);
  metrics.histogram('wait_seconds', 'x', [1]).observe(4);
  expect(await metricOf((await metrics.render()).text, 'wait_seconds_sum')).toBe(4);
  for (const name of ['things', 'thing_total', 'wait_seconds_sums']) {
    await expect(metricOf(metrics, name)).rejects.toThrow(`there is no metric ${name}`);
  }
});

test('a call sends JSON, text and bytes, and shows every header of the answer', async () => {
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    res.setHeader('set-cookie', ['a=1', 'b=2']);
    const { authorization, 'content-type': type } = req.headers;
    if (req.url === '/silent') return;
    if (req.url === '/text') return void res.writeHead(409).end('no JSON');
    res.end(JSON.stringify({ method: req.method, authorization, type, body: Buffer.concat(chunks).toString() }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const answer = await call(origin, 'post', '/', { bearer: 'token', body: { a: 1 } });
  expect(answer.body).toEqual({
    method: 'POST',
    authorization: 'Bearer token',
    type: 'application/json',
    body: '{"a":1}',
  });
  expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  const bytes = await call(origin, 'put', '/', { body: Buffer.from('x'), headers: { 'content-type': 'image/png' } });
  expect(bytes.body).toMatchObject({ type: 'image/png', body: 'x' });
  const text = await call(origin, 'get', '/text');
  expect([text.status, text.text, text.body]).toEqual([409, 'no JSON', undefined]);
  expect(() => expectStatus(text, 200)).toThrow('expected 200, got 409: no JSON');
  await expect(call(origin, 'get', '/silent', { timeoutMs: 20 })).rejects.toThrow('no answer in 20 ms');
});

test('the stub of auth knows whom it was given, and nobody else', async () => {
  const [id, organizationId] = [uuidv7(), uuidv7()];
  const user = {
    id,
    organizationId,
    name: 'Ada',
    role: 'manager' as const,
    timezone: 'UTC',
    status: 'active' as const,
  };
  const auth = await startStubAuth({ users: [user] });
  closing.push(() => auth.close());
  const of = async (path: string) => (await call(auth.url, 'get', path)).body;
  expect(await of(`/internal/users/${organizationId}/${id}`)).toEqual({ user });
  expect(await of(`/internal/users/${organizationId}/${uuidv7()}`)).toMatchObject({ user: null });
  expect(await of(`/internal/organizations/${organizationId}`)).toMatchObject({ organization: null });
  expect(await of('/internal/revocations?after=1')).toEqual({ items: [], cursor: '1', nextPage: null });
});
