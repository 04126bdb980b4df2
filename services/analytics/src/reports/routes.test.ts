import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { openKeyValue } from '@worktide/key-value';
import {
  type Caller,
  createLifecycle,
  createMetrics,
  type Lifecycle,
  type Role,
  requestAborted,
  serve,
  silentLogger,
  unauthorized,
  unavailable,
} from '@worktide/runtime';
import {
  appsReport,
  dailyReport,
  domainsReport,
  organizationReport,
  organizationSettings,
  timesheetReport,
  userReport,
} from '@worktide/schemas';
import { until } from '@worktide/testing';
import { migrationsFolder } from '../index.ts';
import { usageTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { createReportCache, type ReportCache } from './cache.ts';
import { openReports } from './open.ts';
import { reportRoutes } from './routes.ts';

const log = silentLogger();
const organizationId = randomUUID();
const person = (role: Role, timezone: string): Caller => ({
  organizationId,
  userId: randomUUID(),
  role,
  timezone,
  sessionId: randomUUID(),
});
/** An agent's key, whatever the role of its person. */
const { sessionId: _, ...agent } = { ...person('admin', 'UTC'), agentKeyId: randomUUID() };
const people = {
  agent: agent as Caller,
  employee: person('employee', 'Asia/Kathmandu'),
  colleague: person('employee', 'America/New_York'),
  manager: person('manager', 'UTC'),
  admin: person('admin', 'UTC'),
  stranger: { ...person('admin', 'UTC'), organizationId: randomUUID() },
};
type Name = keyof typeof people;

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let lifecycle: Lifecycle;
let url: string;
let authAway = false;
const looked: unknown[] = [];
/** Whom somebody leads, and in which teams. */
const led = new Map<string, string[]>();
const ledTeams = new Map<string, string[]>();
let clickhouseUrl: string;

async function start(toClickhouse: string, places = 4, cache?: Pick<ReportCache, 'get'>): Promise<string> {
  const metrics = createMetrics();
  const opened = openReports(toClickhouse, { places, log, metrics });
  lifecycle.onClose('reports', () => opened.close());
  const service = {
    name: 'analytics',
    checks: {},
    authenticate: async (authorization: string | undefined) => {
      const caller = people[authorization?.slice('Bearer '.length) as Name];
      if (!caller) throw unauthorized();
      return caller;
    },
    routes: reportRoutes({
      ...opened,
      leads: {
        of: async ({ userId }) => ({ teamIds: new Set(ledTeams.get(userId)), userIds: new Set(led.get(userId)) }),
      },
      looks: { note: (_organizationId, source, look) => looked.push([source.actorId, look.entityType, look.entityId]) },
      cache: cache ?? { get: (_organizationId, _report, _params, load) => load() },
      findUser: async (organization, userId) => {
        if (authAway) throw unavailable('auth');
        const found = Object.entries(people).find(([, p]) => p.organizationId === organization && p.userId === userId);
        if (!found) return undefined;
        const [name, { role, timezone }] = found;
        return { id: userId, organizationId: organization, name, role, timezone, status: 'active' };
      },
      organization: async (id) => ({
        id,
        timezone: 'UTC',
        subscriptionStatus: 'pro',
        settings: organizationSettings.parse({ weekStart: 'sunday' }),
      }),
    }),
  };
  const options = { services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 };
  return (await serve(options)).url;
}

beforeAll(async () => {
  lifecycle = createLifecycle({ log });
  database = await freshClickHouseDatabase();
  clickhouseUrl = database.url;
  await migrateClickHouse(clickhouseUrl, migrationsFolder, { log });
  const clickhouse = createClickHouse(clickhouseUrl, { log });
  for (const { userId } of Object.values(people)) {
    // An hour on each side of midnight UTC.
    const startedAt = Date.parse('2026-11-20T23:00:00Z');
    const rest = { deviceId: 'laptop', source: 'window', app: 'editor', host: 'github.com', state: 'active' as const };
    const entry = { id: randomUUID(), startedAt, endedAt: startedAt + 7_200_000, version: 1, deleted: false, ...rest };
    await store(clickhouse, usageTable, { organizationId, userId, entries: [entry] });
  }
  await clickhouse.close();
  url = await start(clickhouseUrl);
});
afterAll(async () => {
  await lifecycle.close();
  await database.drop();
});

// biome-ignore lint/suspicious/noExplicitAny: answers of several shapes, each compared as a whole or parsed by its schema.
type Body = any;
async function get(
  path: string,
  as: Name | 'nobody' = 'employee',
  origin = url,
): Promise<{ status: number; body: Body; headers: Headers }> {
  const response = await fetch(
    `${origin}/api/v1/reports/${path}`,
    as === 'nobody' ? {} : { headers: { authorization: `Bearer ${as}` } },
  );
  return { status: response.status, body: await response.json(), headers: response.headers };
}
const userId = (name: Name): string => `userId=${people[name].userId}`;

describe('answers', () => {
  test('apps and domains: of the caller, in the caller’s zone unless another is asked for', async () => {
    const apps = await get('apps?date=2026-11-21');
    expect(apps.status).toBe(200);
    expect(appsReport.parse(apps.body)).toEqual({
      date: '2026-11-21',
      timezone: 'Asia/Kathmandu',
      totalSeconds: 7200,
      items: [{ app: 'editor', seconds: 7200 }],
    });
    const domains = await get('domains?date=2026-11-21&timezone=UTC');
    expect(domainsReport.parse(domains.body)).toEqual({
      date: '2026-11-21',
      timezone: 'UTC',
      totalSeconds: 3600,
      items: [{ host: 'github.com', seconds: 3600 }],
    });
  });

  test.each(['apps', 'domains', 'daily'])('%s: `date` is short for `from` and `to` of that day', async (report) => {
    const short = await get(`${report}?date=2026-11-21`);
    expect(short.status).toBe(200);
    expect(short.body.items).not.toEqual([]);
    const long = await get(`${report}?from=2026-11-21&to=2026-11-21`);
    expect({ status: long.status, body: long.body }).toEqual({ status: 200, body: short.body });
  });

  test('daily: every day of the range', async () => {
    const { status, body } = await get('daily?from=2026-11-20&to=2026-11-22&timezone=UTC');
    expect(status).toBe(200);
    const day = { idleSeconds: 0, keyboardClicks: 0, mouseMovements: 0 };
    expect(dailyReport.parse(body).items).toEqual([
      { ...day, date: '2026-11-20', workSeconds: 3600, activeSeconds: 3600, productivityScore: 100 },
      { ...day, date: '2026-11-21', workSeconds: 3600, activeSeconds: 3600, productivityScore: 100 },
      { ...day, date: '2026-11-22', workSeconds: 0, activeSeconds: 0, productivityScore: null },
    ]);
  });
});

describe.each(['apps?date=2026-11-20', 'domains?date=2026-11-20', 'daily?from=2026-11-20&to=2026-11-20'])(
  'who may see %s',
  (path) => {
    test('managers and admins see others, in the other’s zone', async () => {
      for (const as of ['manager', 'admin'] as const) {
        const { status, body } = await get(
          `${path}&${userId('colleague').toUpperCase().replace('USERID', 'userId')}`,
          as,
        );
        expect(status).toBe(200);
        // 18:00 to 20:00 in New York.
        expect(body.totalSeconds ?? body.items[0].workSeconds).toBe(7200);
        if (body.timezone) expect(body.timezone).toBe('America/New_York');
      }
    });
    test('employees, and keys of admins, see only themselves, by name too', async () => {
      for (const as of ['employee', 'agent'] as const) {
        expect((await get(`${path}&${userId(as)}`, as)).status).toBe(200);
        const refused = await get(`${path}&${userId('colleague')}`, as);
        expect(refused).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
      }
    });
    test('users elsewhere do not exist, for anybody', async () => {
      for (const as of ['employee', 'admin'] as const) {
        expect(await get(`${path}&${userId('stranger')}`, as)).toMatchObject({
          status: 404,
          body: { code: 'NOT_FOUND' },
        });
      }
      // The stranger's entries were stored under an organisation that is not theirs.
      expect((await get(path, 'stranger')).body).toMatchObject({
        items: path.startsWith('daily') ? [{ workSeconds: 0 }] : [],
      });
    });
    test('nobody without a credential', async () => {
      expect((await get(path, 'nobody')).status).toBe(401);
    });
    test('auth away: 503 for others, no difference for oneself', async () => {
      authAway = true;
      try {
        const answer = await get(`${path}&${userId('colleague')}`, 'manager');
        expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
        expect((await get(path)).status).toBe(200);
      } finally {
        authAway = false;
      }
    });
  },
);

describe('bad requests', () => {
  test.each([
    ['apps', 'VALIDATION_FAILED'],
    ['apps?date=21.11.2026', 'VALIDATION_FAILED'],
    ['apps?date=2026-02-29', 'VALIDATION_FAILED'],
    ['apps', 'VALIDATION_FAILED'],
    ['apps?from=2026-11-21', 'VALIDATION_FAILED'],
    ['apps?date=2026-11-21&from=2026-11-21', 'VALIDATION_FAILED'],
    ['domains?date=2026-11-21&from=2026-11-21&to=2026-11-21', 'VALIDATION_FAILED'],
    ['domains?from=2026-11-20&to=2026-11-21', 'VALIDATION_FAILED'],
    ['domains?from=2026-11-21&to=2026-11-20', 'VALIDATION_FAILED'],
    ['apps?date=1969-12-31', 'VALIDATION_FAILED'],
    ['apps?date=9999-12-31', 'VALIDATION_FAILED'],
    ['apps?date=2026-11-21&date=2026-11-22', 'VALIDATION_FAILED'],
    ['domains?date=2026-11-21&timezone=Mars/Olympus', 'VALIDATION_FAILED'],
    ['domains?date=2026-11-21&timezone=%2B05:00', 'VALIDATION_FAILED'],
    ['domains?date=2026-11-21&userId=me', 'VALIDATION_FAILED'],
    ['daily?from=2026-11-21', 'VALIDATION_FAILED'],
    ['daily?to=2026-11-21', 'VALIDATION_FAILED'],
    ['daily', 'VALIDATION_FAILED'],
    ['daily?date=2026-11-21&to=2026-11-21', 'VALIDATION_FAILED'],
    ['daily?date=2026-11-21&from=2026-11-21&to=2026-11-21', 'VALIDATION_FAILED'],
    ['daily?date=2026-02-29', 'VALIDATION_FAILED'],
    ['daily?from=2026-11-21&to=2026-11-20', 'RANGE_REVERSED'],
    ['daily?from=2026-01-01&to=2027-01-02', 'RANGE_TOO_LONG'],
  ])('%s → %s', async (path, code) => {
    expect(await get(path)).toMatchObject({ status: 400, body: { code } });
  });

  test('the ends of what can be asked for', async () => {
    for (const timezone of ['Pacific/Kiritimati', 'Etc/GMT+12']) {
      for (const date of ['1970-01-02', '2199-12-30']) {
        expect((await get(`apps?date=${date}&timezone=${encodeURIComponent(timezone)}`)).status).toBe(200);
      }
    }
    expect((await get('daily?from=2026-01-01&to=2027-01-01')).body.items).toHaveLength(366);
  });
});

test('ClickHouse away: 503 with Retry-After, and nothing of where it is', async () => {
  const broken = await start('http://default:hush@127.0.0.1:9/nowhere');
  const { status, body, headers } = await get('apps?date=2026-11-21', 'employee', broken);
  expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'DEPENDENCY_UNAVAILABLE', '1']);
  expect(JSON.stringify(body)).not.toMatch(/hush|127\.0\.0\.1|nowhere/);
});

describe('one who asks for a great deal', () => {
  /** What became of requests: their statuses in the order of their answers. */
  function many(origin: string, as: Name, count: number) {
    const answered: { status: number; body: Body; headers: Headers }[] = [];
    const all = Array.from({ length: count }, async () => {
      answered.push(await get('daily?from=2026-01-01&to=2026-12-31', as, origin));
    });
    return { answered, all: Promise.all(all) };
  }

  test('is told to wait beyond a bound; others, elsewhere and beside, come after what is in work', async () => {
    const origin = await start(clickhouseUrl, 1);
    // One in its place, one in the organisation's queue, thirty in the person's own: the rest is refused at once.
    const greedy = many(origin, 'employee', 100);
    await until('some are refused', () => greedy.answered.some(({ status }) => status === 503));
    const { body, headers } = greedy.answered.find(({ status }) => status === 503)!;
    expect([body.code, headers.get('retry-after')]).toEqual(['REPORTS_BUSY', '2']);
    const done = () => greedy.answered.filter(({ status }) => status === 200).length;
    const served: number[] = [];
    for (const as of ['stranger', 'colleague'] as const) {
      const before = done();
      expect((await get('apps?date=2026-11-21', as, origin)).status).toBe(200);
      served.push(done() - before);
    }
    // What was in work, what comes between in an organisation that it shares, and answers that crossed on the way.
    expect(Math.max(...served)).toBeLessThanOrEqual(6);
    await greedy.all;
    // How many of those in the queues are answered before they have waited too long is the machine's to say.
    expect(new Set(greedy.answered.map(({ status }) => status))).toEqual(new Set([200, 503]));
  });

  test('who goes away takes the query along, and leaves the place to the next', async () => {
    const clickhouse = createClickHouse(clickhouseUrl, { log });
    // A report that takes three seconds for each of its months.
    const slow = await freshClickHouseDatabase();
    const admin = createClickHouse(slow.url, { log });
    await migrateClickHouse(slow.url, migrationsFolder, { log });
    await admin.command(`ALTER TABLE usage DROP COLUMN state`);
    await admin.command(`ALTER TABLE usage ADD COLUMN state String ALIAS if(sleepEachRow(3) = 0, 'active', 'idle')`);
    await admin.command(`INSERT INTO usage (organization_id, user_id, started_at, ended_at)
      SELECT '${organizationId}', '${people.employee.userId}', toDateTime64('2026-01-15 00:00:00', 3, 'UTC')
        + INTERVAL number MONTH AS at, at + 60 FROM numbers(12)`);
    await admin.command(`INSERT INTO day_changes (organization_id, user_id, utc_date)
      SELECT '${organizationId}', '${people.employee.userId}', toDate32('2026-01-01') + number FROM numbers(365)`);
    const running = async () => {
      const rows = await clickhouse.query<{ query: string }>('SELECT query FROM system.processes');
      return rows.filter(({ query }) => query.includes('intervalLengthSum')).length;
    };
    const origin = await start(slow.url, 1);
    const gone = new AbortController();
    const url = `${origin}/api/v1/reports/daily?from=2026-01-01&to=2026-12-31`;
    const asked = fetch(url, { headers: { authorization: 'Bearer employee' }, signal: gone.signal });
    await until('it runs', async () => (await running()) === 1);
    const next = get('daily?from=2026-01-01&to=2026-01-02', 'stranger', origin);
    gone.abort();
    await expect(asked).rejects.toThrow();
    expect((await next).status).toBe(200);
    await until('nothing runs', async () => (await running()) === 0);
    await Promise.all([clickhouse.close(), admin.close()]);
    await slow.drop();
  }, 30_000);
});

describe('remembered answers', () => {
  const keyValue = openKeyValue('memory:', { log, metrics: createMetrics() });
  afterAll(() => keyValue.close());

  test('are given until something of the organisation is stored, and never to another one', async () => {
    const cache = createReportCache({ keyValue, lifecycle, log, metrics: createMetrics() });
    const origin = await start(clickhouseUrl, 4, cache);
    const clickhouse = createClickHouse(clickhouseUrl, { log });
    const path = `daily?date=2026-11-25&${userId('colleague')}`;
    const work = async (as: Name): Promise<number> => (await get(path, as, origin)).body.items[0].workSeconds;
    expect(await work('manager')).toBe(0);
    const startedAt = Date.parse('2026-11-25T10:00:00Z');
    const rest = { deviceId: 'laptop', source: 'window', app: 'editor', host: null, state: 'active' as const };
    const entry = { id: randomUUID(), startedAt, endedAt: startedAt + 60_000, version: 1, deleted: false, ...rest };
    const envelope = { organizationId, userId: people.colleague.userId, entries: [entry] };
    await store(clickhouse, usageTable, envelope);
    // As it was, to whoever may ask; who may not is told so, and a stranger finds nobody there.
    expect([await work('manager'), await work('admin')]).toEqual([0, 0]);
    expect((await get(path, 'employee', origin)).status).toBe(403);
    expect((await get(path, 'stranger', origin)).status).toBe(404);
    cache.stored([organizationId]);
    await until('it is taken back', async () => (await work('manager')) === 60);
    await clickhouse.close();
  });

  test('whoever waits for one who went away is answered', async () => {
    let load: (() => Promise<unknown>) | undefined;
    const asked: string[] = [];
    const cache: Pick<ReportCache, 'get'> = {
      get: async (_organizationId, report, _params, work) => {
        asked.push(report);
        load = work;
        throw requestAborted(new Error('of another'));
      },
    };
    const origin = await start(clickhouseUrl, 4, cache);
    expect((await get('apps?date=2026-11-21', 'employee', origin)).status).toBe(200);
    expect([asked, load !== undefined]).toEqual([['apps'], true]);
  });
});

describe('the trail of who looked', () => {
  const range = 'from=2026-11-20&to=2026-11-21';

  test('has what is another person’s or everybody’s, and nothing that was refused or one’s own', async () => {
    looked.length = 0;
    const { manager, employee } = people;
    await get(`daily?${range}`, 'manager');
    await get(`daily?${range}&${userId('employee')}`, 'colleague');
    await get(`daily?${range}&${userId('employee')}`, 'stranger');
    expect(looked).toEqual([]);
    for (const path of ['daily', 'timesheet']) await get(`${path}?${range}&${userId('employee')}`, 'manager');
    for (const path of ['apps', 'domains']) await get(`${path}?date=2026-11-20&${userId('employee')}`, 'manager');
    await get(`user/${employee.userId}?${range}`, 'manager');
    expect(looked).toEqual(Array(5).fill([manager.userId, 'user', employee.userId]));
    looked.length = 0;
    for (const path of ['team', 'organization']) await get(`${path}?${range}`, 'manager');
    expect(looked).toEqual(Array(2).fill([manager.userId, 'organization', organizationId]));
  });
});

describe('team, person, organisation and timesheet', () => {
  const range = 'from=2026-11-20&to=2026-11-21';

  test.each(['team', 'organization'])('%s is for managers and admins', async (report) => {
    const status = async (as: Name | 'nobody') => (await get(`${report}?${range}`, as)).status;
    expect(await Promise.all((['manager', 'admin', 'employee', 'agent', 'nobody'] as const).map(status))).toEqual([
      200, 200, 403, 403, 401,
    ]);
  });

  test('a person is for themselves, for managers and admins, and not there for strangers', async () => {
    const path = `user/${people.employee.userId}?${range}`;
    const status = async (as: Name) => (await get(path, as)).status;
    expect(await Promise.all((['employee', 'manager', 'colleague', 'stranger'] as const).map(status))).toEqual([
      200, 200, 403, 404,
    ]);
    const { body } = await get(path, 'employee');
    expect(userReport.parse(body)).toMatchObject({
      user: { id: people.employee.userId, name: 'employee' },
      timezone: 'Asia/Kathmandu',
      totals: { workSeconds: 7_200 },
      apps: [{ app: 'editor', seconds: 7_200 }],
      hosts: [{ host: 'github.com', seconds: 7_200 }],
      projects: [],
    });
  });

  test('who leads somebody reads theirs, and the team; nobody else’s, and not the organisation', async () => {
    const { colleague, employee, manager } = people;
    const team = randomUUID();
    led.set(colleague.userId, [employee.userId, colleague.userId]);
    ledTeams.set(colleague.userId, [team]);
    const status = async (path: string) => (await get(path, 'colleague')).status;
    try {
      expect(await status(`user/${employee.userId}?${range}`)).toBe(200);
      for (const path of ['daily', 'timesheet']) {
        expect(await status(`${path}?${range}&${userId('employee')}`)).toBe(200);
      }
      expect(await status(`apps?date=2026-11-20&${userId('employee')}`)).toBe(200);
      expect(await status(`team?${range}&teamId=${team}`)).toBe(200);
      for (const path of [
        `user/${manager.userId}?${range}`,
        `daily?${range}&${userId('manager')}`,
        `team?${range}`,
        `team?${range}&teamId=${randomUUID()}`,
        `organization?${range}`,
      ]) {
        expect([path, await status(path)]).toEqual([path, 403]);
      }
      expect(await status(`daily?${range}&${userId('stranger')}`)).toBe(404);
    } finally {
      led.clear();
      ledTeams.clear();
    }
  });

  test('weeks begin on the organisation’s day', async () => {
    const { body } = await get('organization?date=2026-11-20&group=week&timezone=UTC', 'manager');
    expect(organizationReport.parse(body)).toMatchObject({ from: '2026-11-15', to: '2026-11-21' });
    expect(body.days).toEqual([expect.objectContaining({ date: '2026-11-15', until: '2026-11-21' })]);
    const sheet = await get('timesheet?date=2026-11-20&group=week', 'employee');
    expect(timesheetReport.parse(sheet.body)).toMatchObject({ from: '2026-11-15', trackedSeconds: 0, projects: [] });
  });

  test.each([
    ['team?from=2026-11-21&to=2026-11-20', 'RANGE_REVERSED'],
    ['organization?from=2024-01-01&to=2026-11-20', 'RANGE_TOO_LONG'],
    ['timesheet?from=2026-11-20', 'VALIDATION_FAILED'],
    ['user/nobody?date=2026-11-20', 'VALIDATION_FAILED'],
    [`team?${range}&cursor=abc`, 'INVALID_CURSOR'],
    [`team?${range}&timezone=Mars/Phobos`, 'VALIDATION_FAILED'],
    [`organization?${range}&group=month`, 'VALIDATION_FAILED'],
    [`team?${range}&teamId=none`, 'VALIDATION_FAILED'],
  ])('%s is 400 %s', async (path, code) => {
    const { status, body } = await get(path, 'manager');
    expect([status, body.code]).toEqual([400, code]);
  });
});
