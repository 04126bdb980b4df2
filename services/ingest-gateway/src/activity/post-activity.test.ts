import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from '@jest/globals';
import { unavailable } from '@worktide/runtime';
import { startGateway } from '../pings/testing.ts';
import { caller } from '../testing.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function start(...given: Parameters<typeof startGateway>) {
  const gateway = await startGateway(...given);
  open.push(gateway.close);
  const post = (body: unknown, headers: Record<string, string> = {}) => gateway.post(body, headers, '/api/v1/activity');
  return { ...gateway, post };
}

const thisMinute = Math.floor(Date.now() / 60_000) * 60_000;
const minute = (more: Record<string, unknown> = {}, ago = 0) => ({
  minute: new Date(thisMinute - ago * 60_000).toISOString(),
  keyboardClicks: 7,
  mouseMovements: 12,
  ...more,
});

test('a full queue is 503, and counted apart from that of pings', async () => {
  const { post, metrics } = await start({ QUEUE_MAX_BYTES: '50' });
  expect(await post(minute())).toMatchObject({ status: 503, body: { code: 'QUEUE_FULL' } });
  const text = await metrics();
  expect(text).toContain('worktide_ingest_backpressure_total{topic="input-minutes"} 1');
  expect(text).not.toContain('topic="pings"');
});

test('one minute, an array, NDJSON, gzip: each request one record under the user', async () => {
  const { post, storedMinutes, metrics } = await start();
  const timeEntryId = '019CD7A0-0000-7000-8000-0000000000AA';
  for (const [body, headers, accepted] of [
    [minute({ deviceId: 'desk', timeEntryId, deviceID: 1 }), {}, 1],
    [[minute(), minute({ timeEntryId: null, deviceId: '' }, 1)], {}, 2],
    [`${JSON.stringify(minute())}\n${JSON.stringify(minute())}`, { 'content-type': 'application/x-ndjson' }, 2],
    [gzipSync(JSON.stringify([minute()])), { 'content-encoding': 'gzip' }, 1],
    [Array.from({ length: 1_000 }, (_, i) => minute({}, i)), {}, 1_000],
  ] as const) {
    expect(await post(body, headers)).toMatchObject({ status: 202, body: { accepted, rejected: [] } });
  }
  const records = await storedMinutes();
  expect(records).toHaveLength(5);
  for (const { key, record } of records) {
    expect(key).toBe(caller.userId);
    expect(record).toMatchObject({ organizationId: caller.organizationId, userId: caller.userId });
  }
  expect(records[0]!.record.minutes).toEqual([
    {
      deviceId: 'desk',
      minute: thisMinute,
      keyboardClicks: 7,
      mouseMovements: 12,
      timeEntryId: timeEntryId.toLowerCase(),
    },
  ]);
  expect(records[1]!.record.minutes[1]).toEqual({
    deviceId: 'laptop',
    minute: thisMinute - 60_000,
    keyboardClicks: 7,
    mouseMovements: 12,
  });
  expect(await metrics()).toContain('worktide_input_minutes_accepted_total 1006');
});

test('bad minutes are named by index and code, the good ones are kept', async () => {
  const { post, storedMinutes, metrics } = await start();
  const bad: [unknown, string][] = [
    [minute({ keyboardClicks: -1 }), 'INVALID_COUNT'],
    [minute({ mouseMovements: 1.5 }), 'INVALID_COUNT'],
    [minute({ keyboardClicks: 1e12 }), 'INVALID_COUNT'],
    [minute({ keyboardClicks: '7' }), 'INVALID_COUNT'],
    [minute({ minute: new Date(thisMinute - 59_000).toISOString() }), 'NOT_A_FULL_MINUTE'],
    [minute({ minute: 'noon' }), 'INVALID_TIME'],
    [minute({ minute: new Date(thisMinute + 3_600_000).toISOString() }), 'IN_FUTURE'],
    [minute({}, 91 * 24 * 60), 'TOO_OLD'],
    [minute({ mouseMovements: undefined }), 'MISSING_FIELD'],
    [minute({ deviceId: 'x'.repeat(129) }), 'INVALID_DEVICE_ID'],
    [minute({ deviceId: 'a\u0000b' }), 'INVALID_TEXT'],
    [minute({ timeEntryId: 'x' }), 'INVALID_TIME_ENTRY_ID'],
    [null, 'NOT_A_MINUTE'],
    [minute({ padding: 'x'.repeat(20_000) }), 'MINUTE_TOO_LARGE'],
  ];
  const answer = await post([minute(), ...bad.map(([body]) => body), minute({}, 1)]);
  expect(answer.status).toBe(202);
  expect(answer.body.accepted).toBe(2);
  expect(answer.body.rejected?.map(({ index, code }) => [index, code])).toEqual(
    bad.map(([, code], i) => [i + 1, code]),
  );
  expect((await storedMinutes())[0]!.record.minutes).toHaveLength(2);
  expect(await metrics()).toContain('worktide_input_minutes_rejected_total{code="INVALID_COUNT"} 4');

  const [first, second] = bad as [[unknown, string], [unknown, string]];
  expect(await post(first[0])).toMatchObject({ status: 400, body: { code: 'INVALID_COUNT' } });
  expect(await post([second[0], null])).toMatchObject({ status: 400, body: { code: 'ALL_MINUTES_REJECTED' } });
  expect(await storedMinutes()).toHaveLength(1);
});

test.each<[string, unknown, number, string]>([
  ['nothing', [], 400, 'EMPTY_REQUEST'],
  ['no JSON', '{', 400, 'MALFORMED_JSON'],
  ['1,001 minutes', Array.from({ length: 1_001 }, () => 0), 413, 'TOO_MANY_MINUTES'],
  ['1 MB and a byte', 'x'.repeat(1_000_001), 413, 'BODY_TOO_LARGE'],
])('%s is refused as a whole', async (_, body, status, code) => {
  const { post, storedMinutes, held } = await start();
  expect(await post(body)).toMatchObject({ status, body: { code } });
  expect(await storedMinutes()).toEqual([]);
  expect(held()).toBe(0);
});

test('minutes count as pings, and their devices as watchers', async () => {
  const { post } = await start({ QUOTA_TRIAL: '1/1000', PINGS_MAX_STREAMS: '2' });
  const devices = ['a', 'b', 'c'].map((deviceId) => minute({ deviceId }));
  expect((await post(devices)).body).toMatchObject({ accepted: 2, rejected: [{ index: 2, code: 'TOO_MANY_DEVICES' }] });
  const many = Array.from({ length: 1_000 }, (_, i) => minute({ deviceId: 'a' }, i));
  expect(await post(many)).toMatchObject({ status: 429, body: { code: 'PING_QUOTA_EXCEEDED' } });
});

test('a log that is away is 503, and nothing is held after it', async () => {
  const { post, held } = await start({}, { send: () => Promise.reject(unavailable('event log')) });
  expect(await post(minute())).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
  expect(held()).toBe(0);
  expect(await post(minute(), { authorization: '' })).toMatchObject({ status: 401 });
});
