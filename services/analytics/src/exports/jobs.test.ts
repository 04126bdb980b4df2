import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createPool, type Pool } from '@worktide/postgres';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { call, expectStatus, metricOf, until } from '@worktide/testing';
import { usageTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { claimExport, settleReady } from './claims.ts';
import { createExportSweep } from './sweep.ts';
import { organizationId, people, type Running, startWorld, teamId, usageEntry, type World } from './testing.ts';

let world: World;
let pool: Pool;
let open: Running[] = [];
const day = '2026-11-20';
const instants = { from: `${day}T00:00:00Z`, to: '2026-11-21T00:00:00Z' };
const usage = { report: 'usage', ...instants };
const log = silentLogger();

beforeAll(async () => {
  world = await startWorld();
  pool = createPool(world.database.url, { applicationName: 'test', log });
  for (const { organizationId: of, userId } of Object.values(people)) {
    const entries = Array.from({ length: 10 }, (_, i) => usageEntry(Date.parse(instants.from) + i * 3_600_000));
    await store(world.clickhouse, usageTable, { organizationId: of, userId, entries });
  }
});
afterAll(async () => {
  await pool?.end();
  await world?.close();
});
afterEach(async () => {
  world.clickhouseWay.back();
  world.postgresWay.back();
  await Promise.all(open.map((one) => one.close()));
  open = [];
  await pool.query('DELETE FROM analytics.exports');
  await pool.query('DELETE FROM analytics.export_turns');
  await world.store.deleteMany(await keys());
  world.told.length = 0;
  world.looked.length = 0;
});

async function start(options: Parameters<World['start']>[0] = {}): Promise<Running> {
  const running = await world.start(options);
  open.push(running);
  return running;
}
const keys = async (): Promise<string[]> =>
  (await world.store.list('exports/', { limit: 1_000 })).items.map(({ key }) => key);
const noKeys = (): Promise<true> => until('no files', async () => (await keys()).length === 0);
/** Makes one while nobody works, so that it waits. */
async function queued(running: Running, as: keyof typeof people = 'employee'): Promise<string> {
  const id = await running.make(as, usage);
  return id;
}

describe('an export', () => {
  test('is made, listed, downloaded by a link that is good for minutes, and removed, each of it in the trail', async () => {
    const running = await start();
    const made = await running.ask('employee', 'post', '', { ...usage, format: 'csv' });
    expect(made).toMatchObject({ status: 202, body: { exportId: expect.any(String) } });
    const id = made.body.exportId;
    const job = await running.untilIs('employee', id, 'ready');
    expect(job).toEqual({
      id,
      report: 'usage',
      format: 'csv',
      fileName: 'usage_2026-11-20.csv',
      status: 'ready',
      progress: 1,
      rows: 10,
      bytes: expect.any(Number),
      url: expect.stringContaining('/objects/exports/'),
      attempts: 1,
      createdAt: expect.any(String),
      expiresAt: expect.any(String),
    });
    const keptMs = Date.parse(job.expiresAt) - Date.parse(job.createdAt);
    expect(Math.round(keptMs / 86_400_000)).toBe(7);
    const { bytes, headers } = await running.file(job);
    expect(bytes).toHaveLength(job.bytes);
    expect(headers.get('content-disposition')).toBe('attachment; filename="usage_2026-11-20.csv"');
    expect(headers.get('content-type')).toBe('text/csv');
    const { url: _, ...listed } = job;
    expect((await running.ask('employee', 'get')).body).toEqual({ items: [listed], nextCursor: null });
    expect((await running.ask('employee', 'get', '?status=failed')).body.items).toEqual([]);

    expect((await running.ask('employee', 'delete', `/${id}`)).status).toBe(204);
    expect((await running.ask('employee', 'get', `/${id}`)).status).toBe(404);
    expect((await running.ask('employee', 'delete', `/${id}`)).status).toBe(404);
    expect(await keys()).toEqual([]);
    expect(world.told).toEqual([
      {
        action: 'export.created',
        entityType: 'export',
        entityId: id,
        after: expect.objectContaining({ report: 'usage', whose: { userId: people.employee.userId } }),
      },
      { action: 'export.deleted', entityType: 'export', entityId: id },
    ]);
    // One's own is nobody's to know.
    expect(world.looked).toEqual([]);
    expect(await metricOf(running.metrics, 'worktide_exports_ready_total', { report: 'usage', format: 'csv' })).toBe(1);
    expect(await metricOf(running.metrics, 'worktide_export_rows_total', { format: 'csv' })).toBe(10);
  });

  test('lists go on by cursor, and hold nobody else’s', async () => {
    const running = await start();
    const ids = [];
    for (let i = 0; i < 3; i++) ids.unshift(await running.make('employee', usage));
    await running.make('admin', usage);
    const first = (await running.ask('employee', 'get', '?limit=2')).body;
    const rest = (await running.ask('employee', 'get', `?limit=2&cursor=${first.nextCursor}`)).body;
    expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(ids);
    expect(rest.nextCursor).toBeNull();
    expect((await running.ask('admin', 'get', `?cursor=${first.nextCursor}`)).status).toBe(400);
  });

  test('of another, whatever the role, does not exist', async () => {
    const running = await start();
    const id = await running.make('employee', usage);
    for (const as of ['admin', 'manager', 'colleague', 'stranger'] as const) {
      for (const method of ['get', 'delete']) expect((await running.ask(as, method, `/${id}`)).status).toBe(404);
    }
    await running.untilIs('employee', id, 'ready');
  });
});

describe('who may have what', () => {
  const range = { from: day, to: day };
  const { employee, colleague, stranger } = people;
  const asks: [as: keyof typeof people, body: object, status: number][] = [
    ['employee', { report: 'daily', ...range }, 202],
    ['employee', { report: 'daily', date: day, userId: colleague.userId }, 403],
    ['employee', { report: 'usage', ...instants, userId: colleague.userId }, 403],
    ['employee', { report: 'daily', ...range, people: 'all' }, 403],
    ['employee', { report: 'timesheet', ...range, teamId }, 403],
    ['employee', { report: 'team', ...range, teamId }, 403],
    ['employee', { report: 'audit' }, 403],
    ['lead', { report: 'apps', date: day, userId: employee.userId }, 202],
    ['lead', { report: 'usage', ...instants, userId: colleague.userId }, 403],
    ['lead', { report: 'time-entries', ...instants, teamId }, 202],
    ['lead', { report: 'team', ...range, teamId }, 202],
    ['lead', { report: 'team', ...range }, 403],
    ['lead', { report: 'timesheet', ...range, people: 'all' }, 403],
    ['manager', { report: 'timesheet', ...range, people: 'all', group: 'week' }, 202],
    ['manager', { report: 'domains', date: day, userId: employee.userId }, 202],
    ['manager', { report: 'audit' }, 403],
    ['admin', { report: 'audit', from: day }, 202],
    ['admin', { report: 'usage', ...instants, userId: stranger.userId }, 404],
    ['stranger', { report: 'daily', ...range, userId: employee.userId }, 404],
    ['admin', { report: 'daily', ...range, people: 'all', teamId }, 400],
    ['admin', { report: 'daily', from: day }, 400],
    ['admin', { report: 'daily', from: '2026-11-21', to: day }, 400],
    ['admin', { report: 'usage', from: instants.to, to: instants.from }, 400],
    ['admin', { report: 'apps', from: day, to: '2026-11-21' }, 400],
    ['admin', { report: 'pings', ...range }, 400],
    ['admin', { report: 'daily', ...range, format: 'pdf' }, 400],
  ];

  test('is who may read the report, checked when it is asked for', async () => {
    const running = await start();
    for (const [as, body, status] of asks) {
      const answer = await running.ask(as, 'post', '', { format: 'json', ...body });
      expect({ as, body, status: answer.status, text: answer.text }).toMatchObject({ as, body, status });
      if (status === 202) await running.untilIs(as, answer.body.exportId, 'ready');
    }
    const { lead, manager, admin } = people;
    expect(world.looked).toEqual(
      expect.arrayContaining([
        `${lead.userId} report.read ${employee.userId}`,
        `${manager.userId} report.read ${organizationId}`,
        `${admin.userId} audit.read ${organizationId}`,
      ]),
    );
    // Nobody but its own people is in an organisation's file.
    const id = await running.make('stranger', { report: 'usage', ...instants, people: 'all' });
    const { bytes } = await running.file(await running.untilIs('stranger', id, 'ready'));
    expect(new Set(JSON.parse(bytes.toString()).map(({ userId }: { userId: string }) => userId))).toEqual(
      new Set([stranger.userId]),
    );
  });

  test('who may no longer read it gets no link to it', async () => {
    const running = await start();
    const id = await running.make('manager', { ...usage, people: 'all' });
    expect(await running.untilIs('manager', id, 'ready')).toHaveProperty('url');
    people.manager.role = 'employee';
    try {
      expect(await running.get('manager', id)).not.toHaveProperty('url');
    } finally {
      people.manager.role = 'manager';
    }
  });

  test('a person has five on their way, and an organisation twenty', async () => {
    world.clickhouseWay.silent();
    const running = await start();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => running.ask('employee', 'post', '', { ...usage, format: 'csv' })),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([202, 202, 202, 202, 202, 429, 429, 429]);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.body.code).toBe('TOO_MANY_EXPORTS');
    expect(refused.headers.get('retry-after')).toBe('30');
    for (const as of ['admin', 'manager', 'colleague'] as const) {
      for (let i = 0; i < 5; i++)
        expect((await running.ask(as, 'post', '', { ...usage, format: 'csv' })).status).toBe(202);
    }
    expect((await running.ask('lead', 'post', '', { ...usage, format: 'csv' })).body.message).toMatch(/organisation/);
    expect((await running.ask('stranger', 'post', '', { ...usage, format: 'csv' })).status).toBe(202);
  });
});

test('the files of an organisation are bounded, also for what waited meanwhile; deleting makes room', async () => {
  const running = await start({ config: { EXPORT_CONCURRENCY: 1, EXPORT_MAX_STORED_BYTES: 1 } });
  const first = await running.make('admin', usage);
  const second = await running.make('admin', usage);
  await running.untilIs('admin', first, 'ready');
  expect(await running.untilIs('admin', second, 'failed')).toMatchObject({
    failure: { code: 'EXPORTS_TAKE_TOO_MUCH' },
    attempts: 1,
  });
  const refused = await running.ask('manager', 'post', '', { ...usage, format: 'csv' });
  expect(refused).toMatchObject({ status: 429, body: { code: 'TOO_MANY_EXPORTS' } });
  expect((await running.ask('stranger', 'post', '', { ...usage, format: 'csv' })).status).toBe(202);
  expect((await running.ask('admin', 'delete', `/${first}`)).status).toBe(204);
  await running.untilIs('manager', await running.make('manager', usage), 'ready');
});

describe('the work', () => {
  test('of a process that died goes on in another, and only who holds the lease makes it ready', async () => {
    const running = await start({ config: { EXPORT_CONCURRENCY: 1 } });
    world.clickhouseWay.silent();
    // It takes the only place, so that the next is taken by nobody but this test.
    const other = await running.make('stranger', usage);
    await until('it is taken', async () => (await running.get('stranger', other)).status === 'running');
    const id = await queued(running);
    const dead = (await claimExport(pool, 300))!;
    expect(dead).toMatchObject({ id, attempts: 1 });
    await running.ask('stranger', 'delete', `/${other}`);
    world.clickhouseWay.back();
    const job = await running.untilIs('employee', id, 'ready');
    expect(job.attempts).toBe(2);
    // Its maker is told once: of the try that made it ready.
    const toldOf = () => world.published.flatMap((record) => record.exports.filter((one) => one.id === id));
    await until('it is told', () => toldOf().length > 0);
    // The dead one was only slow, and is too late.
    expect(await settleReady(pool, dead, { rows: 1, bytes: 1, fileKey: 'other' })).toBeUndefined();
    expect(toldOf()).toEqual([
      {
        id,
        report: 'usage',
        format: 'json',
        fileName: 'usage_2026-11-20.json',
        status: 'ready',
        failureCode: null,
        rows: 10,
        bytes: job.bytes,
        settledAt: expect.any(Number),
      },
    ]);
    expect(world.published.find((record) => record.exports.some((one) => one.id === id))).toMatchObject({
      organizationId,
      userId: people.employee.userId,
    });
    expect(await running.get('employee', id)).toMatchObject({ rows: 10 });
    expect(await keys()).toHaveLength(1);
  });

  test('that ends without a word again and again is given up', async () => {
    const running = await start();
    world.clickhouseWay.silent();
    const id = await queued(running);
    await until('it is taken', async () => (await running.get('employee', id)).status === 'running');
    await pool.query('UPDATE analytics.exports SET attempts = 3, due_at = now() WHERE id = $1', [id]);
    expect(await running.untilIs('employee', id, 'failed')).toMatchObject({
      failure: { code: 'EXPORT_CRASHED' },
      attempts: 3,
    });
    await until('it is told', () =>
      world.published.some(({ exports }) =>
        exports.some((one) => one.id === id && one.failureCode === 'EXPORT_CRASHED'),
      ),
    );
  });

  test('is cancelled at once in the replica that does it, and soon in another', async () => {
    const [one, other] = [await start(), await start({ config: { EXPORT_CONCURRENCY: 1 } })];
    for (const by of [one, other, one, other]) {
      world.clickhouseWay.silent();
      const id = await queued(one);
      await until('it is taken', async () => (await one.get('employee', id)).status === 'running');
      expect((await by.ask('employee', 'delete', `/${id}`)).status).toBe(204);
      expect(await one.get('employee', id)).toMatchObject({ status: 'cancelled' });
      await until('nobody works', async () => {
        const counts = await Promise.all(
          [one, other].map(({ metrics }) => metricOf(metrics, 'worktide_exports_running')),
        );
        return counts.every((count) => count === 0);
      });
      world.clickhouseWay.back();
      expect(await one.get('employee', id)).toMatchObject({ status: 'cancelled', attempts: 1 });
      expect((await by.ask('employee', 'delete', `/${id}`)).status).toBe(204);
      expect((await one.ask('employee', 'get', `/${id}`)).status).toBe(404);
    }
    await noKeys();
  });

  test('is given back by a stop, without a try lost', async () => {
    const running = await start();
    world.clickhouseWay.silent();
    const id = await queued(running);
    await until('it is taken', async () => (await running.get('employee', id)).status === 'running');
    await running.close();
    const { rows } = await pool.query('SELECT status, attempts, due_at <= now() AS due FROM analytics.exports');
    expect(rows).toEqual([{ status: 'queued', attempts: 0, due: true }]);
    world.clickhouseWay.back();
    expect(await (await start()).untilIs('employee', id, 'ready')).toMatchObject({ attempts: 1 });
  });

  test('goes by turns between organisations, one at a time of a person', async () => {
    world.clickhouseWay.silent();
    const running = await start();
    const blockers = [await running.make('lead', usage), await running.make('manager', usage)];
    await until(
      'both places are taken',
      async () => (await metricOf(running.metrics, 'worktide_exports_running')) === 2,
    );
    for (const as of ['employee', 'employee', 'colleague', 'stranger', 'stranger'] as const)
      await running.make(as, usage);
    await pool.query(
      "UPDATE analytics.exports SET status = 'cancelled', due_at = NULL, lease = NULL WHERE id = ANY($1)",
      [blockers],
    );
    const claims = [];
    for (let i = 0; i < 5; i++) claims.push(await claimExport(pool, 60_000));
    const { employee, colleague, stranger } = people;
    // The stranger's organisation has waited longest; then whose first was asked for first; a person's second waits.
    const taken = claims.map((claim) => claim?.userId);
    expect(new Set(taken.slice(0, 3))).toEqual(new Set([stranger.userId, employee.userId, colleague.userId]));
    expect(taken[0]).toBe(stranger.userId);
    expect(taken.slice(3)).toEqual([undefined, undefined]);
  });

  test('tells how far it is', async () => {
    const running = await start();
    world.clickhouseWay.silent();
    const id = await queued(running);
    await until('it is taken', async () => (await running.get('employee', id)).status === 'running');
    const { rows } = await pool.query('SELECT lease, due_at FROM analytics.exports');
    await until('it was renewed', async () => {
      const now = await pool.query('SELECT lease, due_at FROM analytics.exports');
      expect(now.rows[0].lease).toBe(rows[0].lease);
      return now.rows[0].due_at > rows[0].due_at;
    });
  });
});

describe('what goes wrong', () => {
  test('more rows, or bytes, than an export may have: failed at once, with its own code, and nothing stored', async () => {
    for (const [config, message] of [
      [{ EXPORT_MAX_ROWS: 9 }, 'The export would have more than 9 rows. Narrow it down.'],
      [{ EXPORT_MAX_BYTES: 100 }, 'The export would have more than 100 bytes. Narrow it down.'],
    ] as const) {
      const running = await start({ config });
      const id = await running.make('employee', usage);
      const job = await running.untilIs('employee', id, 'failed');
      expect(job).toMatchObject({ failure: { code: 'EXPORT_TOO_LARGE', message }, attempts: 1 });
      expect(await metricOf(running.metrics, 'worktide_exports_failed_total', { code: 'EXPORT_TOO_LARGE' })).toBe(1);
      await running.close();
    }
    await noKeys();
  });

  test('a fault of the export’s own: tried three times, then failed', async () => {
    const running = await start();
    world.clickhouseWay.silent();
    const id = await queued(running);
    await until('it is taken', async () => (await running.get('employee', id)).status === 'running');
    await pool.query(
      `UPDATE analytics.exports SET asked = '{"report":"usage","whose":{"userId":"nobody"},"since":0,"until":1}',
         due_at = now(), status = 'queued', lease = NULL, attempts = 0`,
    );
    world.clickhouseWay.back();
    const job = await running.untilIs('employee', id, 'failed');
    expect(job).toMatchObject({
      failure: { code: 'EXPORT_FAILED', message: 'Something went wrong on our side.' },
      attempts: 3,
    });
    expect(await metricOf(running.metrics, 'worktide_exports_retried_total', { code: 'EXPORT_FAILED' })).toBe(2);
  });

  test('ClickHouse away: waits without losing a try, and is done when it is back', async () => {
    const running = await start();
    world.clickhouseWay.away();
    const id = await running.make('employee', usage);
    await until('it was put back more often than an export has tries', async () => {
      return ((await metricOf(running.metrics, 'worktide_exports_postponed_total')) ?? 0) > 3;
    });
    const waiting = await running.get('employee', id);
    expect(waiting.status).toMatch(/queued|running/);
    expect(waiting).toMatchObject({ failure: { code: 'EXPORT_WAITS' } });
    world.clickhouseWay.back();
    const job = await running.untilIs('employee', id, 'ready');
    expect(job).toMatchObject({ rows: 10, attempts: 1 });
    expect(job).not.toHaveProperty('failure');
  });

  test('the object store away: the same', async () => {
    const running = await start();
    await world.folder.away();
    const id = await running.make('employee', usage);
    try {
      await until(
        'it was put back',
        async () => ((await metricOf(running.metrics, 'worktide_exports_postponed_total')) ?? 0) > 1,
      );
      const ready = expectStatus(await call(running.url, 'get', '/health/ready'), 200);
      expect(JSON.stringify(ready)).toContain('object store');
    } finally {
      await world.folder.back();
    }
    expect(await running.untilIs('employee', id, 'ready')).toMatchObject({ rows: 10 });
  });

  test('PostgreSQL away: exports are 503, the service is ready all the same, and what was in work is done later', async () => {
    const running = await start();
    world.clickhouseWay.silent();
    const id = await running.make('employee', usage);
    await until('it is taken', async () => (await running.get('employee', id)).status === 'running');
    world.postgresWay.away();
    world.clickhouseWay.back();
    expect(await running.ask('employee', 'post', '', { ...usage, format: 'csv' })).toMatchObject({
      status: 503,
      body: { code: 'DEPENDENCY_UNAVAILABLE' },
    });
    expect((await running.ask('employee', 'get')).status).toBe(503);
    expect((await call(running.url, 'get', '/health/ready')).status).toBe(200);
    await expect(running.exports.checks.postgres!()).rejects.toMatchObject({ statusCode: 503 });
    world.postgresWay.back();
    expect(await running.untilIs('employee', id, 'ready')).toMatchObject({ rows: 10 });
    await until('one file', async () => (await keys()).length === 1);
  });
});

describe('what is over', () => {
  const sweep = (graceMs = 0) =>
    createExportSweep({ pool, store: world.store, log, metrics: createMetrics(), graceMs });

  test('after seven days an export is not there, and a sweep removes it with its file', async () => {
    const running = await start();
    const id = await running.make('employee', usage);
    const kept = await running.make('admin', usage);
    await running.untilIs('employee', id, 'ready');
    await running.untilIs('admin', kept, 'ready');
    await pool.query('UPDATE analytics.exports SET expires_at = now() WHERE id = $1', [id]);
    expect((await running.ask('employee', 'get', `/${id}`)).status).toBe(404);
    expect((await running.ask('employee', 'get')).body.items).toEqual([]);
    await sweep()();
    expect(await keys()).toEqual([expect.stringContaining(kept)]);
    expect((await pool.query('SELECT id FROM analytics.exports')).rows).toEqual([{ id: kept }]);
  });

  test('a file that no export has is removed once it is old, a try’s own is not', async () => {
    const running = await start();
    const id = await running.make('employee', usage);
    await running.untilIs('employee', id, 'ready');
    world.clickhouseWay.silent();
    const working = await running.make('admin', usage);
    await until('it is taken', async () => (await running.get('admin', working)).status === 'running');
    const { rows } = await pool.query('SELECT lease FROM analytics.exports WHERE id = $1', [working]);
    const [file] = await keys();
    const put = (key: string) => world.store.put(key, Buffer.from('x'), { contentType: 'text/csv' });
    const stray = [
      `exports/${organizationId}/${id}/${people.admin.userId}/usage.json`,
      `exports/${people.stranger.organizationId}/${id}/${people.admin.userId}/usage.json`,
    ];
    const underWay = `exports/${organizationId}/${working}/${rows[0].lease}/usage.json`;
    for (const key of [...stray, underWay]) await put(key);
    await sweep(3_600_000)();
    expect(await keys()).toHaveLength(4);
    await sweep()();
    expect((await keys()).toSorted()).toEqual([file, underWay].toSorted());
  });

  test('a deleted organisation has none, nor files, and what is in work for it ends', async () => {
    const running = await start();
    const id = await running.make('employee', usage);
    await running.untilIs('employee', id, 'ready');
    const others = await running.make('stranger', usage);
    await running.untilIs('stranger', others, 'ready');
    world.clickhouseWay.silent();
    await running.make('employee', usage);
    await until('it is taken', async () => (await metricOf(running.metrics, 'worktide_exports_running')) === 1);
    await running.exports.erase(organizationId);
    await running.exports.erase(organizationId);
    await until('nobody works', async () => (await metricOf(running.metrics, 'worktide_exports_running')) === 0);
    expect((await pool.query('SELECT id FROM analytics.exports')).rows).toEqual([{ id: others }]);
    expect(await keys()).toEqual([expect.stringContaining(others)]);
    await running.ask('stranger', 'delete', `/${others}`);
  });
});
