import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { AppError, createLogger, isTracing, traced, traceparentFor, type Work } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { openTraces, type Traces } from './traces.ts';

interface Received {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[];
  links: { traceId: string }[];
  status: { code: number; message?: string };
}

/** Somebody's collector, which keeps what it is sent. */
let spans: Received[] = [];
let answers = 200;
const server = createServer(async (req, res) => {
  let body = '';
  for await (const chunk of req.setEncoding('utf8')) body += chunk;
  if (answers === 200) {
    const { resourceSpans } = JSON.parse(body);
    for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
  }
  res.writeHead(answers, { 'content-type': 'application/json' }).end('{}');
});
let endpoint: string;
let traces: Traces;
const lines: string[] = [];
const log = createLogger({ service: 'test', destination: { write: (line) => void lines.push(line) } });

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(async () => {
  spans = [];
  answers = 200;
  lines.length = 0;
  traces = await openTraces({ endpoint, service: 'test', log });
});
afterEach(() => traces.close(5_000));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const work =
  (name: string, kind: Work['kind'], more: Partial<Work> = {}) =>
  (): Work => ({
    name,
    kind,
    attributes: {},
    ...more,
  });
const given = (n: number): string => `00-${String(n).padStart(32, '0')}-${'0'.repeat(15)}1-01`;
const named = (name: string): Received[] => spans.filter((span) => span.name === name);

test('a request goes on with its caller’s trace, work within it is a child, and what follows is given the child', async () => {
  let within: string | undefined;
  await traced(work('GET', 'server', { traceparent: given(1) }), () =>
    traced(work('send x', 'producer'), async () => {
      within = traceparentFor('any');
      log.info('in the middle');
    }),
  );
  expect(traceparentFor()).toBeUndefined();
  await traces.close(5_000);
  const [[outer], [inner]] = [named('GET'), named('send x')];
  expect(outer).toMatchObject({ traceId: given(1).split('-')[1], parentSpanId: given(1).split('-')[2], kind: 2 });
  expect(inner).toMatchObject({ traceId: outer!.traceId, parentSpanId: outer!.spanId, kind: 4 });
  expect(within).toBe(`00-${inner!.traceId}-${inner!.spanId}-01`);
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ msg: 'in the middle', traceId: inner!.traceId });
});

test.each([
  ['nothing', undefined],
  ['noise', 'me@example.com'],
  ['zeros', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`],
  ['another version', given(1).replace(/^00/, 'ff')],
])('%s for a trace begins a new one; work of nobody’s begins none', async (_, traceparent) => {
  await traced(work('GET', 'server', { traceparent }), async () => {});
  await traced(work('alone', 'client'), async () => expect(traceparentFor()).toBeUndefined());
  await traces.close(5_000);
  expect(spans.map(({ name }) => name)).toEqual(['GET']);
  expect(spans[0]!.traceId).not.toBe(given(1).split('-')[1]);
  expect(JSON.stringify(spans)).not.toContain('example.com');
});

test('a batch goes on with each of its traces, each key with its own; of forty with thirty-two', async () => {
  const traceparents = new Map(Array.from({ length: 40 }, (_, i) => [`key-${i}`, given(i + 1)]));
  const followed: (string | undefined)[] = [];
  await traced(work('process x', 'consumer', { traceparents }), () =>
    traced(work('store', 'client'), async () => {
      for (const key of ['key-0', 'key-31', 'key-32', 'unknown']) followed.push(traceparentFor(key)?.split('-')[1]);
    }),
  );
  await traces.close(5_000);
  expect(new Set(named('process x').map(({ traceId }) => traceId)).size).toBe(32);
  expect(named('store')).toHaveLength(32);
  expect(named('process x')[0]!.links).toHaveLength(31);
  expect(followed).toEqual([given(1).split('-')[1], given(32).split('-')[1], undefined, undefined]);
});

test('an error is its code; neither its words nor its cause', async () => {
  const failing = traced(work('GET', 'server'), async () => {
    throw new AppError('CONFLICT', 'me@example.com is taken', { cause: new Error('secret') });
  });
  await expect(failing).rejects.toThrow('taken');
  await traces.close(5_000);
  expect(spans[0]).toMatchObject({ status: { code: 2 }, attributes: [{ key: 'error.type' }] });
  expect(JSON.stringify(spans)).toMatch(/CONFLICT/);
  expect(JSON.stringify(spans)).not.toMatch(/example\.com|secret/);
});

test('what outlives its trace is in it no longer', async () => {
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  let late: Promise<void> | undefined;
  await traced(work('GET', 'server'), async () => {
    late = over.then(() =>
      traced(work('late', 'client'), async () => {
        expect(traceparentFor()).toBeUndefined();
      }),
    );
  });
  end();
  await late;
  await traces.close(5_000);
  expect(spans.map(({ name }) => name)).toEqual(['GET']);
});

test('a share of none is none, whatever callers want', async () => {
  await traces.close(5_000);
  traces = await openTraces({ endpoint, service: 'test', share: 0, log });
  await traced(work('GET', 'server', { traceparent: given(1) }), () =>
    traced(work('send x', 'producer'), async () => expect(traceparentFor()).toBeUndefined()),
  );
  await traces.close(5_000);
  expect(spans).toEqual([]);
});

test('a collector that is away costs a line and what waits, which is bounded; it gets what comes when it is back', async () => {
  answers = 400;
  for (let i = 0; i < 20_000; i++) void traced(work('GET', 'server'), async () => {});
  await until('a line', () => lines.some((line) => line.includes('traces are lost')));
  expect(lines.filter((line) => line.includes('traces are lost'))).toHaveLength(1);
  answers = 200;
  await until('it is back', async () => {
    await traced(work('GET', 'server'), async () => {});
    return lines.some((line) => line.includes('traces are sent again'));
  });
  // Of 20,000 at once more than 15,000 had no place to wait.
  expect(spans.length).toBeLessThan(5_000);
});

test('closed, nothing is listened to', async () => {
  expect(isTracing()).toBe(true);
  await traces.close(5_000);
  expect(isTracing()).toBe(false);
  expect(await traced(work('GET', 'server'), async () => traceparentFor() ?? 'none')).toBe('none');
});
