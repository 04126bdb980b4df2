import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { type FleetResult, runFleet } from '@worktide/fleet';
import { openObjectStore } from '@worktide/object-store';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { createCodec, openSchemaRegistry, pingsEnvelope, topics } from '@worktide/schemas';
import { call, expectStatus, until } from '@worktide/testing';
import { startTestCluster, type TestCluster } from './support/cluster.ts';
import { offlineEntry, syncBatch } from './support/entries.ts';
import { accepted, exactly, fleetDuring, retried, shortRun, stillEqual, verdictOf } from './support/fleet.ts';
import { type Health, metric, notReady } from './support/http.ts';
import { makeAgentKey, ping, post, register, usageOf, yesterdayNoon } from './support/people.ts';
import { residentMb, runToEnd, suspended } from './support/processes.ts';
import { repository } from './support/product.ts';
import { replayAll } from './support/replay.ts';
import { inLongRounds } from './support/rounds.ts';
import { syncRows, usageRows } from './support/rows.ts';
import { pictureOf, settled, uploadStubbornly } from './support/screenshots.ts';

let cluster: TestCluster;
let log: EventLog;
/** Every run so far: whatever happens later must leave them as they were. */
const runs: FleetResult[] = [];

beforeAll(async () => {
  cluster = await startTestCluster();
  log = openEventLog(cluster.eventLogUrl, { clientId: 'tests', log: silentLogger(), metrics: createMetrics() });
  cluster.lifecycle.onClose('event log', () => log.close());
}, 180_000);

afterEach(() => cluster.revive(), 60_000);

afterAll(async () => {
  for (const run of runs) run.close();
  await cluster?.close();
}, 60_000);

/** Whether it was answered 202; not where what answers, or what is behind it, is being killed. */
async function isTaken(bearer: string, path: string, body: unknown): Promise<boolean> {
  const answer = await call(cluster.url, 'post', path, { bearer, body, timeoutMs: 30_000 }).catch(() => undefined);
  if (answer && answer.status < 500) expect(answer).toMatchObject({ status: 202, body: { rejected: [] } });
  return answer?.status === 202;
}

test('duplicates, shuffles, late uploads and hostile agents: usage and reports are what the ledger says', async () => {
  const result = await runFleet(shortRun(cluster.url, { seed: 11 }));
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
}, 120_000);

test('readiness is found by each of its names', async () => {
  for (const path of ['/health/ready', '/health', '/api/health'] as const) {
    expect(expectStatus(await call<Health>(cluster.url, 'get', path), 200).status).toBe('ready');
  }
});

test('kill -9 of a gateway, a writer, analytics and the broker in the middle of a run', async () => {
  const result = await fleetDuring(shortRun(cluster.url, { seed: 12, hostile: 0, rate: 200 }), async () => {
    const victims = [
      cluster.service('ingest-gateway-1'),
      cluster.service('session-writer-1'),
      cluster.service('analytics-1'),
      cluster.engines.kafka,
    ];
    for (const victim of victims) {
      await accepted(cluster.metricsOf('ingest-gateway'), 250);
      await victim.kill9();
      await victim.restart();
    }
    await accepted(cluster.metricsOf('ingest-gateway'), 250);
  });
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
  expect(retried(result, '')).toBeGreaterThan(0);
  await cluster.untilNotReady({});
}, 180_000);

test('Kafka, Postgres and ClickHouse away, one after the other: said so, paused, caught up', async () => {
  const { kafka, postgres, clickhouse } = cluster.engines;
  const watcher = await register(cluster.url);
  const { key } = await makeAgentKey(cluster.url, watcher);
  const report = () => call(cluster.url, 'get', '/api/v1/reports/daily?from=2026-01-01&to=2026-01-02', { bearer: key });
  const pings = () => call(cluster.url, 'post', '/api/v1/pings', { bearer: key, body: ping('Watch') });
  const heartbeat = (second: number) => {
    const timestamp = new Date(yesterdayNoon() + 3_600_000 + second * 1_000);
    const body = { timestamp, duration: 0, data: { app: 'Watched', title: '' } };
    const path = '/api/0/buckets/aw-watcher-window_box/heartbeat?pulsetime=6';
    return call(cluster.url, 'post', path, { bearer: key, body, timeoutMs: 40_000 });
  };
  for (const origin of cluster.originsOf('ingest-gateway')) await post(origin, key, ping('Watch'));
  expectStatus(await report(), 200);

  const result = await fleetDuring(shortRun(cluster.url, { seed: 13, hostile: 0, rate: 200 }), async () => {
    await accepted(cluster.metricsOf('ingest-gateway'), 100);
    // Connections stay open and nothing answers.
    await suspended(kafka.pid, async () => {
      await cluster.untilNotReady({
        'ingest-gateway': 'event log',
        'session-writer': 'event log',
        'screenshot-processor': 'screenshots consumer',
        analytics: 'event log',
        realtime: 'event log',
        // Said, but for all that it goes on taking what agents send.
        'agent-protocols': 'event log',
      });
      const refused = await pings();
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      // Watchers of ActivityWatch never try again: what they send is taken without the log.
      for (const second of [0, 5, 10]) expectStatus(await heartbeat(second), 200);
    });
    await cluster.untilNotReady({});
    await until('time that was told while the log was away', async () => {
      const entries = (await usageOf(cluster.url, key)).filter(({ app }) => app === 'Watched');
      return entries.reduce((sum, { seconds }) => sum + seconds, 0) === 10;
    });

    await accepted(cluster.metricsOf('ingest-gateway'), 100);
    await postgres.kill9();
    const held = heartbeat(15);
    await cluster.untilNotReady({
      auth: 'postgres',
      workspace: 'postgres',
      'session-writer': 'postgres',
      'screenshot-processor': 'postgres',
      // Which gives reports without.
      analytics: 'postgres',
      realtime: 'postgres',
      'agent-protocols': 'postgres',
    });
    expectStatus(await report(), 200);
    await until('a writer says that it tries again', async () => {
      const retrying = cluster
        .metricsOf('session-writer')
        .map((origin) => metric(origin, 'worktide_consumer_state', { group: 'session-writer', state: 'retrying' }));
      return (await Promise.all(retrying)).includes(1);
    });
    // No database stands in the way of a ping.
    expectStatus(await pings(), 202);
    await postgres.restart();
    // Held meanwhile, for 25 s at most: with a slower machine it is refused, in words that say so.
    expect([200, 503]).toContain((await held).status);
    expectStatus(await heartbeat(15), 200);
    await cluster.untilNotReady({});

    await accepted(cluster.metricsOf('ingest-gateway'), 100);
    await suspended(clickhouse.pid, async () => {
      await cluster.untilNotReady({ analytics: 'clickhouse' });
      expectStatus(await pings(), 202);
    });
    await cluster.untilNotReady({});
    expectStatus(await report(), 200);
  });
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
}, 240_000);

test('a writer that lost its partitions while it slept and then goes on does no harm', async () => {
  const [sleeper, other] = [cluster.service('session-writer-1'), cluster.service('session-writer-2')];
  const origins = { usage: other.baseUrl };
  // Of pings alone: who sleeps in the middle of somebody's timer keeps that person's lock until the database takes it, a minute.
  const running = runFleet(shortRun(cluster.url, { seed: 14, hostile: 0, rate: 200, origins, timers: 0 }));
  const result = await Promise.race([running, accepted(cluster.metricsOf('ingest-gateway'), 500)]).then(() =>
    // Until after the other one has done everything: it gets the partitions when the sleeper's session has run out.
    suspended(sleeper.pid, () => running),
  );
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
  const before = await usageRows(cluster.engines.postgres.url);
  // What it had in hand it finishes now; then it is a member again.
  await until('the sleeper is in the group', async () => (await notReady(sleeper.baseUrl))?.length === 0);
  await until('nothing is left', async () => (await log.admin.lag('session-writer', ['pings'])).pings === 0);
  expect(await stillEqual(result)).toEqual(exactly);
  expect(await usageRows(cluster.engines.postgres.url)).toEqual(before);
}, 120_000);

test('poison in the topic: set aside with reason and origin, what is behind it goes through, and it can be replayed', async () => {
  const victim = await register(cluster.url);
  const { key, deviceId } = await makeAgentKey(cluster.url, victim);
  const codec = createCodec(openSchemaRegistry(cluster.registryUrl), topics.pings);
  await codec.prepare();
  const at = yesterdayNoon();
  const event = (app: string, startedAt: number, endedAt: number) => ({
    ...{ id: ping(app).id, app, host: null, state: 'active', deviceId, source: 'window', startedAt, endedAt },
  });
  const envelope = { organizationId: victim.organizationId, userId: victim.userId, receivedAt: Date.now() };
  const mixed = [event('Good', at, at + 60_000), { ...event('Bad', at, at), state: 'asleep' }];
  const producer = log.producer();
  await producer.send('pings', [
    { key: victim.userId, value: Buffer.from('no wire format at all') },
    { key: victim.userId, value: codec.encode({ ...envelope, pings: mixed }) },
  ]);
  await post(cluster.url, key, ping('Behind', { at: at + 600_000 }));

  const apps = async () => (await usageOf(cluster.url, key)).map(({ app }) => app).sort();
  await until('what is good and what is behind', async () => (await apps()).join() === 'Behind,Good');
  const lettersFrom = (count: number) =>
    until(`${count} dead letters, from both consumers`, async () => {
      const found = await log.admin.read('pings.dead', { partition: 0, fromOffset: 0, limit: 100 });
      return found.length >= count && found;
    });
  const letters = await lettersFrom(4);
  expect(letters).toHaveLength(4);
  for (const group of ['session-writer', 'analytics-pings']) {
    const [whole, part] = letters.filter(({ headers }) => headers['worktide-group'] === group);
    const origin = { 'worktide-topic': 'pings', 'worktide-partition': expect.stringMatching(/^\d+$/) };
    expect(whole).toMatchObject({
      key: victim.userId,
      value: Buffer.from('no wire format at all'),
      headers: { ...origin, 'worktide-reason-code': 'UNDECODABLE', 'worktide-offset': expect.stringMatching(/^\d+$/) },
    });
    expect(Number(part?.headers['worktide-offset'])).toBeGreaterThan(Number(whole?.headers['worktide-offset']));
    expect(part?.headers['worktide-reason-message']).toContain('state');
    // Of a record with good and bad pings only the bad one is set aside.
    expect(pingsEnvelope.parse(codec.decode(part!.value)).pings).toEqual([mixed[1]]);
  }

  const command = (...args: string[]) =>
    runToEnd(process.execPath, [path.join(repository, 'tools/dead-letters/src/main.ts'), ...args], {
      env: { EVENT_LOG_URL: cluster.eventLogUrl },
    });
  const listed = await command('list', '--topic', 'pings');
  expect(listed).toMatchObject({ code: 0, output: expect.stringContaining('4 shown') });
  for (const shown of ['UNDECODABLE', victim.userId, 'refused by session-writer', 'refused by analytics-pings']) {
    expect(listed.output).toContain(shown);
  }
  // What is put back is tried again by every consumer; what is still bad comes back as what it was.
  const { offset } = letters.find(({ headers }) => headers['worktide-reason-code'] !== 'UNDECODABLE')!;
  expect(await command('replay', '--topic', 'pings', '--offset', String(offset))).toMatchObject({ code: 0 });
  const again = (await lettersFrom(6)).slice(4);
  for (const { headers, value } of again) {
    expect(headers['worktide-replayed-from']).toBe(`pings.dead/0/${offset}`);
    expect(pingsEnvelope.parse(codec.decode(value)).pings).toEqual([mixed[1]]);
  }
  expect(again.map(({ headers }) => headers['worktide-group']).sort()).toEqual(['analytics-pings', 'session-writer']);
  expect(await apps()).toEqual(['Behind', 'Good']);
}, 120_000);

test('more than the log takes: 503 with Retry-After, flat memory, and nothing acknowledged is lost', async () => {
  const gateway = await cluster.startGateway({ QUEUE_MAX_BYTES: '1000000', PINGS_MAX_IN_FLIGHT: '400' });
  const flooder = await register(cluster.url);
  const { key } = await makeAgentKey(cluster.url, flooder);
  const acknowledged: string[] = [];
  let refused = 0;
  /** About 180 kB; each request has an hour of its own. */
  async function flood(turn: number): Promise<void> {
    const app = `Flood ${turn}`;
    const at = yesterdayNoon() - turn * 3_600_000;
    const pings = Array.from({ length: 150 }, (_, i) =>
      ping(app, { at: at + i * 10_000, seconds: 10, title: 'x'.repeat(1_000) }),
    );
    const { status, headers } = await call(gateway.url, 'post', '/api/v1/pings', { bearer: key, body: pings });
    if (status === 202) acknowledged.push(app);
    else {
      expect({ status, retryAfter: headers.get('retry-after') }).toEqual({ status: 503, retryAfter: '1' });
      refused++;
    }
  }

  // Without a pace: as fast as answers come.
  const origins = { ingest: [gateway.url] };
  const options = shortRun(cluster.url, { seed: 15, hostile: 0, rate: Number.POSITIVE_INFINITY, origins });
  const result = await fleetDuring(options, async () => {
    await accepted([gateway.internalUrl], 300);
    const before = await residentMb(gateway.pid);
    await suspended(cluster.engines.kafka.pid, async () => {
      let turn = 0;
      const lane = async (): Promise<void> => {
        while (turn < 1_000) await flood(turn++);
      };
      await Promise.all(Array.from({ length: 400 }, lane));
      // 400 requests of 180 kB at a time where the queue takes 1 MB: unbounded, it grows by 400 MB (tried); the young
      // generation of the heap alone may come to 100, more on a busy machine.
      expect(refused).toBeGreaterThan(900);
      expect((await residentMb(gateway.pid)) - before).toBeLessThan(250);
      expect(await metric(gateway.internalUrl, 'worktide_ingest_backpressure_total')).toBeGreaterThan(100);
    });
    await until('pings are taken again', async () => {
      await flood(1_000);
      return acknowledged.includes('Flood 1000');
    });
  });
  runs.push(result);
  expect(verdictOf(result)).toEqual(exactly);
  expect(retried(result, '503')).toBeGreaterThan(0);
  await until('everything acknowledged of the flood', async () => {
    const apps = new Set((await usageOf(cluster.url, key)).map(({ app }) => app));
    return acknowledged.every((app) => apps.has(app));
  });
  await gateway.stop();
}, 120_000);

test('Redis away: log-ins and pings go on; limits are local for now, hold, and say so', async () => {
  const person = await register(cluster.url);
  const { key } = await makeAgentKey(cluster.url, person);
  const credentials = { email: person.email, password: person.password };
  const login = (password = credentials.password) =>
    call(cluster.url, 'post', '/api/v1/auth/login', { body: { ...credentials, password } });
  const local = async (): Promise<number[]> => {
    const origins = [...cluster.metricsOf('auth'), ...cluster.metricsOf('ingest-gateway')];
    return Promise.all(origins.map((origin) => metric(origin, 'worktide_limits_local')));
  };
  await cluster.engines.redis.kill9();
  expectStatus(await login(), 200);
  // More than a lease of the quota for each gateway, so that both ask for another.
  await until('limits are local everywhere', async () => {
    for (const origin of cluster.originsOf('ingest-gateway')) {
      const pings = Array.from({ length: 600 }, (_, i) => ping('Away', { at: yesterdayNoon() + i, seconds: 0 }));
      await post(origin, key, pings);
    }
    return (await local()).every((value) => value === 1);
  });
  // Five that fail are a stranger's; an address that the account knows has as many again.
  let failed = 0;
  let refused = await login('wrong');
  for (; refused.status === 401 && failed < 20; failed++) refused = await login('wrong');
  expect(failed).toBeGreaterThanOrEqual(5);
  expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
  expect(Object.fromEntries(refused.headers)).toMatchObject({
    'retry-after': expect.stringMatching(/^[1-9]\d*$/),
    ratelimit: expect.stringContaining('r=0'),
    'ratelimit-policy': expect.stringContaining('q=5;w=60'),
  });

  await cluster.engines.redis.restart();
  await until('limits are shared again', async () => {
    for (const origin of cluster.originsOf('ingest-gateway')) {
      const pings = Array.from({ length: 600 }, (_, i) => ping('Back', { at: yesterdayNoon() + i, seconds: 0 }));
      await post(origin, key, pings);
    }
    await call(cluster.url, 'get', '/api/v1/auth/me', { bearer: person.accessToken });
    return (await local()).every((value) => value === 0);
  });
}, 90_000);

/** Of each of ten people; below the sixty a minute that one may send. */
const uploadsEach = inLongRounds(50, 16);
const uploads = 10 * uploadsEach;

test(`${uploads} uploads through kills of gateway and processor, S3 and Kafka hanging: all acknowledged are there once, blurred`, async () => {
  const store = openObjectStore(cluster.engines.s3.url, { log: silentLogger(), metrics: createMetrics() });
  const people = await Promise.all(Array.from({ length: 10 }, () => register(cluster.url)));
  const pictures = await Promise.all([1, 2, 3, 4].map(pictureOf));
  const acknowledged: { bearer: string; id: string; blurLevel: number }[] = [];
  const lanes = people.map(async ({ accessToken: bearer }) => {
    for (let n = 0; n < uploadsEach; n++) {
      const blurLevel = n % 4;
      const id = await uploadStubbornly(cluster.url, bearer, pictures[n % pictures.length]!, blurLevel);
      acknowledged.push({ bearer, id, blurLevel });
    }
  });
  const reached = (share: number) =>
    until(`${share} of the uploads`, () => acknowledged.length >= share * uploads, { seconds: 120 });
  const happen = async (): Promise<void> => {
    for (const [share, victim] of [
      [0.1, 'ingest-gateway-1'],
      [0.25, 'screenshot-processor-1'],
      [0.4, 'screenshot-processor-2'],
    ] as const) {
      await reached(share);
      await cluster.service(victim).kill9();
      await cluster.service(victim).restart();
    }
    for (const [share, engine] of [
      [0.55, cluster.engines.s3],
      [0.65, cluster.engines.kafka],
    ] as const) {
      await reached(share);
      await suspended(engine.pid, () => new Promise((resolve) => setTimeout(resolve, 3_000)));
    }
    await reached(0.8);
    await cluster.engines.s3.kill9();
    await cluster.engines.s3.restart();
  };
  await Promise.all([happen(), ...lanes]);
  expect(acknowledged).toHaveLength(uploads);
  for (const { bearer, id, blurLevel } of acknowledged) {
    const found = await until(`${id} is settled`, () => settled(cluster.url, bearer, id), { seconds: 120 });
    expect(found).toMatchObject({ id, status: 'ready', blurLevel, width: 640, height: 360 });
  }
  for (const { accessToken: bearer } of people) {
    const { items } = expectStatus(await call(cluster.url, 'get', '/api/v1/screenshots?limit=500', { bearer }), 200);
    expect(new Set(items.map((item: { id: string }) => item.id)).size).toBe(uploadsEach);
    expect(items).toHaveLength(uploadsEach);
  }
  // Nothing sharp is left: neither an upload, nor a claim for one.
  await until('the uploads are gone', async () => (await store.list('uploads/', { limit: 10 })).items.length === 0);
  await store.close();
}, 400_000);

const entriesOfBatch = inLongRounds(250, 60);

test(`${40 * entriesOfBatch} offline entries, each sent three times through kills of gateway, writer, Postgres and broker: each there once`, async () => {
  const people = await Promise.all(Array.from({ length: 4 }, () => register(cluster.url)));
  const [batches, each] = [10, entriesOfBatch];
  const from = yesterdayNoon() - 7 * 24 * 3_600_000;
  /** A minute each, one after the other. */
  const batchOf = (n: number) =>
    Array.from({ length: each }, (_, i) => {
      const start = from + (n * each + i) * 60_000;
      const [startTime, endTime] = [start, start + 60_000].map((ms) => new Date(ms).toISOString());
      return offlineEntry(`entry-${n * each + i}`, { startTime, endTime });
    });
  const minute = new Date(Math.floor(from / 60_000) * 60_000).toISOString();
  let taken = 0;
  const lanes = people.map(async ({ accessToken: bearer }) => {
    for (let n = 0; n < 3 * batches; n++) {
      const body = { entries: batchOf(n % batches) };
      await until('a batch is taken', () => isTaken(bearer, '/api/v1/sync/batch', body), { seconds: 120 });
      const counts = { minute, keyboardClicks: n % 7, mouseMovements: 30 - n };
      await until('a minute is taken', () => isTaken(bearer, '/api/v1/activity', counts), { seconds: 120 });
      taken++;
    }
  });
  const happen = async (): Promise<void> => {
    const victims = [
      cluster.service('ingest-gateway-1'),
      cluster.service('session-writer-1'),
      cluster.engines.postgres,
      cluster.engines.kafka,
    ];
    for (const [i, victim] of victims.entries()) {
      await until(`${20 * (i + 1)} batches`, () => taken >= 20 * (i + 1), { seconds: 120 });
      await victim.kill9();
      await victim.restart();
    }
  };
  await Promise.all([happen(), ...lanes]);
  const topicsOfGroups = {
    'session-writer-sync': 'time-entry-syncs',
    'session-writer-sync-slow': 'time-entry-syncs-slow',
    'session-writer-input': 'input-minutes',
  };
  for (const [group, topic] of Object.entries(topicsOfGroups)) {
    await until(`${group} has all`, async () => (await log.admin.lag(group, [topic]))[topic] === 0, { seconds: 120 });
  }
  const stored = await syncRows(
    cluster.engines.postgres.url,
    people.map(({ organizationId }) => organizationId),
  );
  const all = people.length * batches * each;
  expect(stored).toMatchObject({
    time_entries: { rows: all },
    time_entry_changes: { rows: all },
    sync_keys: { rows: all },
    input_minutes: { rows: people.length },
  });
  for (const { accessToken } of people) {
    const again = await syncBatch(cluster.url, accessToken, batchOf(0));
    expect(again).toMatchObject({ processed: 0, skipped: each, conflicts: [] });
  }
}, 400_000);

test('every record from the first one on once more, into the same stores: equal, and no row is written', async () => {
  const before = await usageRows(cluster.engines.postgres.url);
  const beforeOfSyncs = await syncRows(cluster.engines.postgres.url);
  const consumers = [...cluster.replicas('session-writer'), ...cluster.replicas('analytics')];
  await Promise.all(consumers.map((consumer) => consumer.stop()));
  const readAgain = await replayAll(cluster.eventLogUrl);
  await Promise.all(consumers.map((consumer) => consumer.restart()));
  await readAgain(cluster.metricsOf);
  expect(await usageRows(cluster.engines.postgres.url)).toEqual(before);
  expect(await syncRows(cluster.engines.postgres.url)).toEqual(beforeOfSyncs);
  for (const run of runs) expect(await stillEqual(run)).toEqual(exactly);
}, 180_000);
