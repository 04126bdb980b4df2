import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createLedger, type DayReport, dayReport, daysTouched, type ExpectedEntry } from '@worktide/fleet';
import { uuidv7 } from '@worktide/runtime';
import { call, expectStatus, until } from '@worktide/testing';
import { makeAgentKey, register } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';
import { replayAll } from './support/replay.ts';

// One truth: whatever is asked what somebody has worked, and however, answers the same to the second.

const days = 60;
/** Clocks change within the days in most of them, in two not on the hour. */
const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/Havana', 'Asia/Kathmandu'];
const dayMs = 86_400_000;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
const people: Someone[] = [];

/** Of what was acknowledged: what must be there, by the fleet's own rule. */
const ledger = createLedger();

interface Someone {
  userId: string;
  timezone: string;
  bearer: string;
  agentKey: string;
}

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 120_000);

afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

const get = async (someone: Someone, where: string) =>
  expectStatus(await call(product.url, 'get', `/api/v1${where}`, { bearer: someone.bearer }), 200);

async function all(someone: Someone, where: string) {
  const items = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await get(someone, `${where}&limit=500${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  return items;
}

async function exported(someone: Someone, body: object, format = 'json'): Promise<string> {
  const { bearer } = someone;
  const made = await call(product.url, 'post', '/api/v1/reports/exports', { bearer, body: { ...body, format } });
  const { exportId } = expectStatus(made, 202);
  const job = await until(`export ${JSON.stringify(body)}`, async () => {
    const found = await get(someone, `/reports/exports/${exportId}`);
    expect(found.status).not.toBe('failed');
    return found.status === 'ready' && found;
  });
  return (await fetch(job.url)).text();
}

async function sql<T>(someone: Someone, query: string): Promise<T[]> {
  const { bearer } = someone;
  const answer = await call(product.url, 'post', '/api/v1/analytics/query', { bearer, body: { sql: query } });
  return expectStatus(answer, 200).rows;
}

const sumOf = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((sum, item) => sum + value(item), 0);
const range = (someone: Someone, dates: readonly string[]) => {
  const [from, to] = [dates[0]!, dates.at(-1)!];
  return { from, to, query: `from=${from}&to=${to}&timezone=${encodeURIComponent(someone.timezone)}` };
};
const instants = { from: new Date(Date.now() - 90 * dayMs).toISOString(), to: new Date().toISOString() };

/** What is stored of somebody, as the list has it. */
async function storedOf(someone: Someone): Promise<ExpectedEntry[]> {
  const items = await all(someone, `/usage?from=${instants.from}&to=${new Date(Date.now() + dayMs).toISOString()}`);
  return items.map(({ startedAt, endedAt, deviceId, source, app, host, state }) => ({
    startedAt: Date.parse(startedAt),
    endedAt: Date.parse(endedAt),
    deviceId,
    source,
    key: { app, host, state },
  }));
}

/** Pings that are posted and acknowledged, by an agent that names its devices. */
async function post(someone: Someone, spans: { at: number; ms: number; device?: string; state?: 'idle'; n: number }[]) {
  const pings = spans.map(({ at, ms, device = 'laptop', state, n }) => ({
    id: uuidv7(),
    startedAt: new Date(at).toISOString(),
    endedAt: new Date(at + ms).toISOString(),
    app: ['Editor', 'Mail', 'Browser'][n % 3]!,
    ...(n % 3 === 2 ? { url: `https://site${n % 4}.example.com/` } : {}),
    ...(state ? { state } : {}),
    deviceId: device,
  }));
  for (let i = 0; i < pings.length; i += 100) {
    const body = pings.slice(i, i + 100);
    const answer = await call(product.url, 'post', '/api/v1/pings', { bearer: someone.agentKey, body });
    expect(expectStatus(answer, 202)).toMatchObject({ accepted: body.length, rejected: [] });
    for (const ping of body) ledger.acknowledge(someone.userId, 'laptop', { source: 'window', ...ping });
  }
}

const inOrder = (entries: readonly ExpectedEntry[]): string[] =>
  entries
    .map(({ startedAt, endedAt, deviceId, key }) => JSON.stringify([startedAt, endedAt, deviceId, key]))
    .toSorted();

/** Whether the days are of more than one length. */
function hasChange(timezone: string): boolean {
  const at = (day: number): string =>
    new Date(Date.now() - day * dayMs).toLocaleTimeString('en', { timeZone: timezone, hour12: false });
  return at(0) !== at(days);
}

/** Asks everything that says what somebody has worked, and compares it with what follows from their entries. */
async function expectOneTruth(someone: Someone): Promise<void> {
  const { userId, timezone } = someone;
  const entries = await storedOf(someone);
  const dates = daysTouched(entries, timezone);
  const truth = dates.map((date) => dayReport(entries, date, timezone)).filter((day) => day.workSeconds > 0);
  const { from, to, query } = range(someone, dates);
  const time = ({ date, workSeconds, activeSeconds, idleSeconds }: DayReport) => ({
    ...{ date, workSeconds, activeSeconds, idleSeconds },
  });
  const total = {
    workSeconds: sumOf(truth, (day) => day.workSeconds),
    activeSeconds: sumOf(truth, (day) => day.activeSeconds),
    idleSeconds: sumOf(truth, (day) => day.idleSeconds),
  };
  const sums = (parts: (day: DayReport) => Map<string, number>): Map<string, number> => {
    const all = new Map<string, number>();
    for (const day of truth) for (const [name, s] of parts(day)) all.set(name, (all.get(name) ?? 0) + s);
    return all;
  };
  const worked = (items: DayReport[]) => items.filter(({ workSeconds }) => workSeconds > 0).map(time);
  const wanted = truth.map(time);

  await until(`the report of ${timezone}`, async () => {
    expect(worked((await get(someone, `/reports/daily?${query}`)).items)).toEqual(wanted);
    return true;
  });
  expect(worked(JSON.parse(await exported(someone, { report: 'daily', from, to, timezone })))).toEqual(wanted);
  const user = await get(someone, `/reports/user/${userId}?${query}`);
  expect(worked(user.days)).toEqual(wanted);
  expect(user.totals).toMatchObject(total);
  const byName = <K extends string>(items: ({ seconds: number } & { [k in K]: string })[], key: K) =>
    new Map(items.map((item) => [item[key], item.seconds]));
  expect(byName(user.apps, 'app')).toEqual(sums(({ apps }) => apps));
  expect(byName(user.hosts, 'host')).toEqual(sums(({ hosts }) => hosts));
  // An organisation of one.
  const organization = await get(someone, `/reports/organization?${query}`);
  expect(organization.totals).toMatchObject(total);
  const team = await get(someone, `/reports/team?${query}`);
  expect(team.items).toMatchObject([{ userId, ...total }]);
  expect(JSON.parse(await exported(someone, { report: 'team', from, to, timezone }))).toMatchObject([
    { userId, ...total },
  ]);

  // The longest day, app by app and host by host.
  const day = truth.toSorted((a, b) => b.workSeconds - a.workSeconds)[0]!;
  for (const [report, key, parts] of [
    ['apps', 'app', day.apps],
    ['domains', 'host', day.hosts],
  ] as const) {
    const { items } = await get(
      someone,
      `/reports/${report}?date=${day.date}&timezone=${encodeURIComponent(timezone)}`,
    );
    expect(byName(items, key)).toEqual(parts);
    const file = JSON.parse(await exported(someone, { report, date: day.date, timezone }));
    expect(byName(file, key)).toEqual(parts);
  }

  const usage = JSON.parse(await exported(someone, { report: 'usage', ...instants }));
  expect(usage.map(({ startedAt }: { startedAt: string }) => startedAt)).toEqual(
    usage.map(({ startedAt }: { startedAt: string }) => startedAt).toSorted(),
  );
  // On two devices a month may begin with an entry each: which of them is first is nobody's business.
  const exportedUsage = usage.map(
    ({ startedAt, endedAt, app }: Record<string, string>) => `${startedAt} ${endedAt} ${app}`,
  );
  expect(exportedUsage.toSorted()).toEqual(
    entries
      .map(
        ({ startedAt, endedAt, key }) =>
          `${[startedAt, endedAt].map((ms) => new Date(ms).toISOString()).join(' ')} ${key.app}`,
      )
      .toSorted(),
  );

  const listed = await all(someone, `/time-entries?from=${instants.from}&to=${instants.to}`);
  const fields = ['id', 'startTime', 'endTime', 'workedSeconds', 'activeSeconds', 'idleSeconds', 'untrackedSeconds'];
  const told = (items: Record<string, unknown>[]) =>
    items.map((item) => fields.map((name) => item[name]).join(' ')).toSorted();
  const stopped = listed.filter(({ status }) => status === 'STOPPED');
  const file = JSON.parse(await exported(someone, { report: 'time-entries', status: 'STOPPED', ...instants }));
  expect(told(file)).toEqual(told(stopped));
  const csv = await exported(someone, { report: 'time-entries', status: 'STOPPED', ...instants }, 'csv');
  const [head, ...lines] = csv
    .trimEnd()
    .replace('\uFEFF', '')
    .split('\r\n')
    .map((line) => line.split(','));
  const cell = head!.indexOf('workedSeconds') - head!.length;
  expect(sumOf(lines, (line) => Number(line.at(cell)))).toBe(sumOf(stopped, ({ workedSeconds }) => workedSeconds));
  const [inSql] = await sql<[number, number]>(
    someone,
    `SELECT toUInt32(count()), toUInt32(sum(worked_seconds)) FROM time_entries WHERE status = 'STOPPED'`,
  );
  expect(inSql).toEqual([stopped.length, sumOf(stopped, ({ workedSeconds }) => workedSeconds)]);

  // What is summed up comes a moment later; reports do not wait for it.
  await until(`SQL of ${timezone}`, async () => {
    const rows = await sql<[string, number, number]>(
      someone,
      'SELECT toString(date), work_seconds, active_seconds FROM days WHERE work_seconds > 0 ORDER BY date',
    );
    expect(rows).toEqual(truth.map(({ date, workSeconds, activeSeconds }) => [date, workSeconds, activeSeconds]));
    for (const [table, name, parts] of [
      ['app_days', 'app', sums(({ apps }) => apps)],
      ['host_days', 'host', sums(({ hosts }) => hosts)],
    ] as const) {
      const found = await sql<[string, number]>(
        someone,
        `SELECT ${name}, toUInt32(sum(active_seconds)) AS s FROM ${table} GROUP BY ${name} HAVING s > 0`,
      );
      expect(new Map(found)).toEqual(parts);
    }
    return true;
  });
}

/** At once: most of it is waiting for exports and sums, and everybody has an organisation of their own. */
async function expectOneTruthOf(some: readonly Someone[]): Promise<void> {
  await Promise.all(some.map(expectOneTruth));
}

test('sixty days of five people in five zones, with every way to ask for them', async () => {
  const now = Date.now();
  for (const [i, timezone] of zones.entries()) {
    const person = await register(product.url, undefined, timezone);
    const { key } = await makeAgentKey(product.url, person);
    const someone = { userId: person.userId, timezone, bearer: person.accessToken, agentKey: key };
    people.push(someone);
    const spans: Parameters<typeof post>[1] = [];
    for (let day = 1; day <= days; day++) {
      // Over midnights and over changes of the clocks, which come around these hours; by milliseconds, some at once.
      const start = now - day * dayMs;
      for (let n = 0; n < 8; n++) {
        const at = start + n * 3 * 3_600_000 + ((day * 7 + n * 13 + i) % 50) * 60_321;
        spans.push({ at, ms: 1_500_499 + n * 77_777, n: n + day });
        if (n % 3 === 1)
          spans.push({ at: at + 600_250, ms: 2_000_333, n, device: 'desk', ...(n % 2 ? { state: 'idle' } : {}) });
      }
      if (day % 4 !== i % 4) continue;
      const [startTime, endTime] = [start + 1_234_567, start + 5 * 3_600_000 + 765].map((ms) =>
        new Date(ms).toISOString(),
      );
      const body = { startTime, endTime };
      expectStatus(
        await call(product.url, 'post', '/api/v1/time-entries/manual', { bearer: someone.bearer, body }),
        201,
      );
    }
    await post(someone, spans);
  }
  for (const someone of people) {
    const expected = ledger.entries(someone.userId);
    expect(daysTouched(expected, someone.timezone).length).toBeGreaterThanOrEqual(days);
    await until('all entries', async () => {
      expect(inOrder(await storedOf(someone))).toEqual(inOrder(expected));
      return true;
    });
  }
  // The clocks have changed within.
  expect(people.filter(({ timezone }) => hasChange(timezone)).length).toBeGreaterThan(0);
  await expectOneTruthOf(people);
}, 240_000);

test('… after late pings, an erased week, a deleted entry and another zone', async () => {
  const [late, erased, deleted, moved] = people as [Someone, Someone, Someone, Someone];
  await post(late, [{ at: Date.now() - 70 * dayMs, ms: 3_661_499, n: 1 }]);
  await until('the late ping', async () => {
    expect(inOrder(await storedOf(late))).toEqual(inOrder(ledger.entries(late.userId)));
    return true;
  });

  const from = new Date(Date.now() - 14 * dayMs).toISOString();
  const to = new Date(Date.now() - 7 * dayMs).toISOString();
  const bearer = erased.bearer;
  expectStatus(await call(product.url, 'delete', `/api/v1/usage?from=${from}&to=${to}`, { bearer }), 202);

  const [entry] = (await all(deleted, `/time-entries?from=${instants.from}&to=${instants.to}`)).filter(
    ({ status }) => status === 'STOPPED',
  );
  expectStatus(await call(product.url, 'delete', `/api/v1/time-entries/${entry.id}`, { bearer: deleted.bearer }), 204);

  moved.timezone = 'Asia/Kathmandu';
  const body = { timezone: moved.timezone };
  expectStatus(await call(product.url, 'patch', '/api/v1/auth/me', { bearer: moved.bearer, body }), 200);
  await expectOneTruthOf([late, erased, deleted, moved]);
}, 120_000);

test('… and from a ClickHouse that knows nothing but the topics', async () => {
  await product.process.stop();
  await rm(path.join(product.data, 'clickhouse'), { recursive: true });
  const readAgain = await replayAll(`lmdb:${product.data}/log`);
  await product.process.restart();
  await readAgain(() => [product.url]);
  // Whose time came late, whose was erased, and who has moved.
  await expectOneTruthOf(people.slice(0, 2));
  await expectOneTruthOf(people.slice(3, 4));
}, 180_000);
