import { describe, expect, test } from '@jest/globals';
import { checkPing, defaultPingLimits, isProblem, type PingProblem } from '@worktide/schemas';
import { hostOf } from '../oracle/host.ts';
import type { WirePing } from '../oracle/ledger.ts';
import { createRandom } from '../random.ts';
import { zones } from './catalog.ts';
import { createActivityWatch, createWakaTime } from './foreign.ts';
import { createHostile } from './hostile.ts';
import { judge } from './judge.ts';
import { lastClockChange, shifts } from './shifts.ts';
import { createUploads, type PingRequest } from './uploads.ts';
import { createWorker } from './worker.ts';

const now = Date.UTC(2026, 10, 21, 12);
const script = (seed: number, zone: string = 'Europe/Berlin') => {
  const random = createRandom(seed);
  const common = { zone, now, days: 3, deviceId: 'laptop', otherDevices: ['desk'], random };
  return createUploads(createWorker({ ...common, ids: createRandom(seed, 'ids') }), random);
};
const take = (seed: number, rounds: number, zone?: string): PingRequest[] => {
  const uploads = script(seed, zone);
  return [...Array.from({ length: rounds }, () => uploads.next()).flat(), ...uploads.rest()];
};
const pingsOf = (requests: readonly PingRequest[]): WirePing[] => requests.flatMap((r) => r.items as WirePing[]);

describe('a lawful agent', () => {
  test('does the same for the same seed and something else for another', () => {
    const bodies = (seed: number) => take(seed, 50).map((r) => String(r.body));
    expect(bodies(7)).toEqual(bodies(7));
    expect(bodies(7)).not.toEqual(bodies(8));
  });

  test('only sends what the interface takes, with the host that the interface sees', () => {
    for (const [seed, zone] of zones.entries()) {
      for (const ping of pingsOf(take(seed, 1_000, zone))) {
        const checked = checkPing(ping, { nowMs: now, deviceId: 'laptop', limits: defaultPingLimits });
        expect(isProblem(checked) ? [checked, ping] : checked.host).toEqual(hostOf(ping.url));
      }
    }
  });

  test('puts into each body the pings that it says are in it', () => {
    for (const request of take(3, 300)) {
      const text = String(request.body);
      const lines = () => text.split('\n').filter((line) => line !== '');
      const body =
        request.contentType === 'application/x-ndjson' ? lines().map((line) => JSON.parse(line)) : JSON.parse(text);
      expect(Array.isArray(body) ? body : [body]).toEqual(request.items);
      expect(request.items.length).toBeLessThanOrEqual(1000);
      expect(Buffer.byteLength(text)).toBeLessThan(1_000_000);
    }
  });

  test('does all that makes merging hard', () => {
    const requests = take(5, 3_000);
    const pings = pingsOf(requests);
    const ids = pings.map((p) => p.id);
    expect(new Set(ids).size).toBeLessThan(ids.length);
    expect(new Set(requests.map((r) => String(r.body))).size).toBeLessThan(requests.length);
    expect(new Set(pings.map((p) => p.source ?? 'window')).size).toBeGreaterThan(1);
    expect(pings.some((p) => p.startedAt === p.endedAt)).toBe(true);
    expect(pings.some((p) => p.deviceId === 'desk')).toBe(true);
    expect(pings.some((p) => p.state === 'idle')).toBe(true);
    expect(requests.some((r) => r.items.length > 100)).toBe(true);
    const starts = pings.map((p) => Date.parse(p.startedAt));
    expect(starts.some((at, i) => i > 0 && at < starts[i - 1]!)).toBe(true);
    const border = Date.UTC(2026, 10, 1);
    expect(starts.some((at) => Math.abs(at - border) < 3_600_000)).toBe(true);
  });
});

test('a hostile agent knows which pings are bad, what is warned of, and which host is left', () => {
  const random = createRandom('hostile');
  const common = { zone: 'Europe/Berlin', now: Date.now(), days: 3, deviceId: 'laptop', otherDevices: [] };
  const hostile = createHostile({ worker: createWorker({ ...common, random, ids: createRandom('ids') }), random });
  const named = new Set<string>();
  for (const request of Array.from({ length: 300 }, () => hostile.next()).flat()) {
    if (!('rejected' in request.expected) || request.contentType !== 'application/json') continue;
    const { rejected, warnings: expected = new Map() } = request.expected;
    const body = JSON.parse(String(request.body));
    for (const [i, value] of (Array.isArray(body) ? body : [body]).entries()) {
      const warnings: PingProblem[] = [];
      const checked = checkPing(value, { nowMs: Date.now(), deviceId: 'laptop', limits: defaultPingLimits }, warnings);
      expect(isProblem(checked) ? checked.code : checked.host).toBe(rejected.get(i) ?? hostOf(request.items[i]!.url));
      expect(warnings.map(({ code }) => code)).toEqual(expected.has(i) ? [expected.get(i)] : []);
      for (const { code } of warnings) named.add(code);
    }
  }
  const all = ['INVALID_TEXT', 'INVALID_URL', 'TITLE_TOO_LONG', 'URL_SCHEME_REFUSED', 'URL_TOO_LONG'];
  expect([...named].sort()).toEqual(all);
});

describe('shifts', () => {
  test.each([
    ['Europe/Berlin', '2026-10-25T01:00:00.000Z'],
    ['America/New_York', '2026-11-01T06:00:00.000Z'],
    ['Australia/Lord_Howe', '2026-10-03T15:30:00.000Z'],
    ['America/Santiago', '2026-09-06T04:00:00.000Z'],
    ['Asia/Kathmandu', undefined],
    ['UTC', undefined],
  ])('finds the last change of clocks in %s', (zone, expected) => {
    const change = lastClockChange(zone, now - 80 * 86_400_000, now);
    expect(change === undefined ? undefined : new Date(change).toISOString()).toBe(expected);
  });

  test('never end after the last instant, begin before they end, and go on for ever', () => {
    for (const zone of zones) {
      const schedule = shifts(zone, now, 3, createRandom(zone));
      for (let i = 0; i < 200; i++) {
        const { from, to } = schedule.next().value;
        expect(from).toBeLessThan(to);
        expect(to).toBeLessThanOrEqual(now);
        expect(from).toBeGreaterThan(now - 85 * 86_400_000);
      }
    }
  });
});

describe('an agent of another system', () => {
  const requestsOf = (make: typeof createActivityWatch): PingRequest[] => {
    const random = createRandom(11);
    const common = { zone: 'UTC', now, days: 3, deviceId: 'laptop', otherDevices: ['desk'], random };
    const script = make(createWorker({ ...common, ids: createRandom('ids') }), random);
    return [...Array.from({ length: 500 }, () => script.next()).flat(), ...script.rest()];
  };

  test('makes each bucket before it puts events into it, and sends some again', () => {
    const requests = requestsOf(createActivityWatch);
    const made = new Set<string>();
    for (const { path, items } of requests) {
      const bucket = /\/buckets\/([^/]+)/.exec(path!)![1]!;
      if (items.length === 0) made.add(bucket);
      expect(made).toContain(bucket);
    }
    expect(made.size).toBeGreaterThan(1);
    expect(requests.some(({ path }) => path!.includes('/heartbeat'))).toBe(true);
    expect(new Set(requests.map(({ path, body }) => `${path} ${body}`)).size).toBeLessThan(requests.length);
  });

  test('sends heartbeats of an editor, some of them again', () => {
    const items = requestsOf(createWakaTime).flatMap((request) => request.items as WirePing[]);
    expect(items.every(({ heartbeat, startedAt, endedAt }) => heartbeat && startedAt === endedAt)).toBe(true);
    expect(new Set(items.map(({ startedAt }) => startedAt)).size).toBeLessThan(items.length);
  });
});

test.each([
  [200, 200, '', undefined],
  [304, 200, '', undefined],
  [404, 200, '{"code":"BUCKET_NOT_FOUND"}', 'activitywatch, /x: expected 200, got 404 BUCKET_NOT_FOUND'],
])('an answer %i to another system’s request for %i', (status, expected, text, complaint) => {
  const item = { id: 'i', startedAt: '', endedAt: '', app: 'A' };
  const request = { path: '/x', body: '', contentType: undefined, items: [item] };
  const judged = judge(
    { ...request, expected: { status: expected, protocol: 'activitywatch', or: 304 } },
    { status, text, headers: {} },
  );
  expect(judged.complaint).toBe(complaint);
  expect(judged.acknowledged).toHaveLength(complaint ? 0 : 1);
});
