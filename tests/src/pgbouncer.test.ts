import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Engine, freshClickHouseDatabase, startPgBouncer, startPostgres } from '@worktide/backends';
import { runFleet } from '@worktide/fleet';
import { createPool, openReads, type Pool, tenantTransaction } from '@worktide/postgres';
import { type DatabaseService, preparePostgres } from '@worktide/prepare';
import { createLifecycle, createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { call, eventually, expectStatus, type Json, metricOf, until } from '@worktide/testing';
import { exactly, shortRun, verdictOf } from './support/fleet.ts';
import { notReady } from './support/http.ts';
import { appsReport, invite, makeAgentKey, type Person, ping, post, register, usageOf } from './support/people.ts';
import { temporaryFolder } from './support/product.ts';
import { settled, uploadScreenshot } from './support/screenshots.ts';
import { type Services, startServices } from './support/services.ts';

/**
 * All services behind a real PgBouncer in transaction mode, with fewer connections to the server than they have to it, and a real
 * replica that streams, for their lists.
 */

const poolSize = 3;
const log = silentLogger();
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let clickhouse: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let primary: Engine;
let replica: Engine;
let bouncer: Engine;
let services: Services;
let direct: Record<DatabaseService, string>;
let toReplica: Pool;
let boss: Person;
let lin: Person;

/** By the pooler, to the primary or to its replica. */
function pooled(service: DatabaseService, database: 'postgres' | 'replica'): string {
  const { username, password } = new URL(direct[service]);
  return `postgres://${username}:${password}@${new URL(bouncer.url).host}/${database}`;
}

beforeAll(async () => {
  folder = await temporaryFolder();
  [primary, clickhouse] = await Promise.all([
    startPostgres({ dir: path.join(folder.dir, 'primary'), settings: ['fsync=off'] }),
    freshClickHouseDatabase(),
  ]);
  direct = await preparePostgres({ adminUrl: primary.url, passwordOf: (service) => `p@${service}:/`, log });
  replica = await startPostgres({
    dir: path.join(folder.dir, 'replica'),
    settings: ['fsync=off'],
    replicaOf: { primary, dir: path.join(folder.dir, 'primary') },
  });
  bouncer = await startPgBouncer({
    dir: path.join(folder.dir, 'pgbouncer'),
    databases: { postgres: primary.url, replica: replica.url },
    users: Object.fromEntries(
      Object.values(direct).map((given) => {
        const { username, password } = new URL(given);
        return [username, decodeURIComponent(password)];
      }),
    ),
    poolSize,
  });
  toReplica = createPool(replica.url, { applicationName: 'test', max: 1, log });
  const names = Object.keys(direct) as DatabaseService[];
  const env = Object.fromEntries(
    names.map((name) => [name, { POSTGRES_URL: pooled(name, 'postgres'), POSTGRES_READ_URL: pooled(name, 'replica') }]),
  );
  services = await startServices({ dir: folder.dir, clickhouseUrl: clickhouse.url, env });
  boss = await register(services.url);
  lin = await invite(services, boss, 'employee');
}, 120_000);
afterAll(async () => {
  await services?.close();
  await toReplica?.end();
  await bouncer?.stop();
  await replica?.stop();
  await primary?.stop();
  await clickhouse?.drop();
  await folder?.remove();
});

const api = async (as: Person, method: string, where: string, status: number, body?: object): Promise<Json> =>
  expectStatus(await call(services.url, method, `/api/v1${where}`, { bearer: as.accessToken, body }), status);
const reads = (pool: string, outcome: string): Promise<number> =>
  metricOf(services.metrics, 'worktide_replica_reads_total', { pool, outcome });
const setDelay = async (delay: string): Promise<void> => {
  await toReplica.query(`ALTER SYSTEM SET recovery_min_apply_delay = '${delay}'`);
  await toReplica.query('SELECT pg_reload_conf()');
};
const namesOf = async (as: Person): Promise<string[]> =>
  (await api(as, 'get', '/projects', 200)).items.map(({ name }: { name: string }) => name);
/** Whoever changed something is let read from the replica again. */
const unmarked = (as: Person, pool = 'workspace-read') =>
  until(`${as.email} reads from the replica`, async () => {
    const before = await reads(pool, 'replica');
    await api(as, 'get', '/projects', 200);
    return (await reads(pool, 'replica')) > before;
  });

test('what each service does, from the account to the report, holds behind the pooler', async () => {
  const { url } = services;
  const { key } = await makeAgentKey(url, lin, 'laptop');
  const project = await api(boss, 'post', '/projects', 201, { name: 'Invoices' });
  const team = await api(boss, 'post', '/teams', 201, { name: 'Billing' });
  await api(boss, 'post', `/teams/${team.id}/members`, 201, { userId: lin.userId });
  const task = { projectId: project.id, title: 'Round', assigneeId: lin.userId };
  await api(boss, 'post', '/tasks', 201, task);

  // An advisory lock for each person: of twenty at once one is the first.
  const starts = await Promise.all(
    Array.from({ length: 20 }, () =>
      call(url, 'post', '/api/v1/time-entries', { bearer: lin.accessToken, body: { projectId: project.id } }),
    ),
  );
  expect(starts.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)]);
  const { id } = starts.find(({ status }) => status === 201)!.body;
  await api(lin, 'put', `/time-entries/${id}/stop`, 200, {});
  // The lock of projects' names: one name is one project.
  const twins = await Promise.all(
    Array.from({ length: 10 }, () =>
      call(url, 'post', '/api/v1/projects', { bearer: boss.accessToken, body: { name: 'Twin' } }),
    ),
  );
  expect(twins.map(({ status }) => status).sort()).toEqual([201, ...Array(9).fill(409)]);

  await post(url, key, [ping('Editor'), ping('Mail', { at: Date.now() - 120_000 })]);
  await until('entries', async () => (await usageOf(url, key)).length === 2);
  await until('a report', async () => (await appsReport(url, lin.accessToken)).Editor === 60);
  const beat = { entity: '/a.ts', type: 'file', time: Date.now() / 1_000 - 60, project: 'api' };
  expectStatus(await call(url, 'post', '/api/v1/users/current/heartbeats', { bearer: key, body: beat }), 201);
  // Leases: of a picture and of an export.
  const picture = await uploadScreenshot(url, key, 'linux');
  await until('the picture', async () => (await settled(url, lin.accessToken, picture))?.status === 'ready');
  const made = { report: 'daily', format: 'csv', from: '2026-01-01', to: '2026-01-02', timezone: 'UTC' };
  const { exportId } = await api(lin, 'post', '/reports/exports', 202, made);
  await until(
    'the export',
    async () => (await api(lin, 'get', `/reports/exports/${exportId}`, 200)).status === 'ready',
  );
  await until('who was told', async () => (await api(lin, 'get', '/notifications', 200)).items.length > 0);
  await until('who was seen', async () => {
    const { items } = await api(boss, 'get', '/presence', 200);
    return items.some(({ userId, state }: Json) => userId === lin.userId && state !== 'offline');
  });
  expect(await notReady(url)).toEqual([]);
}, 60_000);

test('a fleet: usage, reports and time entries are what the ledger says', async () => {
  const size = { agents: 4, users: 2, hostile: 2, foreign: 0, pingsPerAgent: 60, timers: 3 };
  const result = await runFleet(shortRun(services.url, { ...size, seed: 22 }));
  result.close();
  expect(verdictOf(result)).toEqual(exactly);
}, 120_000);

test('settings of row-level security stay in their transaction: two organisations in turn on three connections', async () => {
  const other = await register(services.url);
  await api(other, 'post', '/projects', 201, { name: 'Elsewhere' });
  const mine = new Set(await namesOf(boss));
  const lists = await Promise.all(
    Array.from({ length: 120 }, async (_, i) => {
      const names = await namesOf(i % 2 ? other : boss);
      return i % 2 ? names.join() === 'Elsewhere' : names.every((name) => mine.has(name));
    }),
  );
  expect(lists).not.toContain(false);
});

test('nothing stays on a connection that the next one gets: no statement, lock, listener, role or setting', async () => {
  for (const service of Object.keys(direct) as DatabaseService[]) {
    for (const database of ['postgres', 'replica'] as const) {
      const pool = createPool(pooled(service, database), { applicationName: 'look', max: poolSize, reserved: 0, log });
      const clients = await Promise.all(Array.from({ length: poolSize }, () => pool.connect()));
      // All at once, so that each is a connection of its own.
      await Promise.all(clients.map((client) => client.query('BEGIN')));
      const found = await Promise.all(
        clients.map(async (client) => {
          const { rows } = await client.query(
            `SELECT (SELECT count(*) FROM pg_prepared_statements) AS statements,
               (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
               (SELECT count(*) FROM pg_listening_channels()) AS listeners, current_user = session_user AS own,
               coalesce(current_setting('worktide.organization_id', true), '') AS organization,
               (SELECT count(*) FROM pg_cursors WHERE name <> '') AS cursors,
               (SELECT coalesce(string_agg(name, ' '), '') FROM pg_settings WHERE source = 'session'
                  -- What PgBouncer itself keeps for each client.
                  AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone',
                    'standard_conforming_strings')) AS settings`,
          );
          return rows[0];
        }),
      );
      for (const one of found) {
        expect({ service, database, ...one }).toEqual({
          ...{ service, database, statements: 0, locks: 0, listeners: 0, own: true, organization: '' },
          ...{ cursors: 0, settings: '' },
        });
      }
      await Promise.all(clients.map((client) => client.query('ROLLBACK')));
      for (const client of clients) client.release();
      await pool.end();
    }
  }
});

test('whoever changed something sees it at once, all others when the replica has it', async () => {
  await unmarked(lin);
  const before = await reads('workspace-read', 'own');
  await setDelay('1500ms');
  for (let n = 0; n < 5; n++) {
    const name = `Late ${n}`;
    await api(boss, 'post', '/projects', 201, { name });
    expect(await namesOf(boss)).toContain(name);
  }
  expect(await reads('workspace-read', 'own')).toBeGreaterThan(before);
  // Old by what the replica lags, at most: it is asked all the same.
  await until('others see it', async () => (await namesOf(lin)).includes('Late 4'));
  expect(await reads('workspace-read', 'replica')).toBeGreaterThan(0);
  // Of the primary is asked what the replica does not know.
  const { id } = await api(boss, 'post', '/projects', 201, { name: 'New' });
  expect(await api(lin, 'get', `/projects/${id}/tasks`, 200)).toEqual({ items: [], nextCursor: null });
  await setDelay('0');
}, 60_000);

test('a replica that does not get on is not asked once it is five seconds behind, and again when it is back', async () => {
  await unmarked(lin);
  await toReplica.query('SELECT pg_wal_replay_pause()');
  await api(boss, 'post', '/projects', 201, { name: 'While it sleeps' });
  const behind = await reads('workspace-read', 'behind');
  await until('the primary answers', async () => (await namesOf(lin)).includes('While it sleeps'));
  expect(await reads('workspace-read', 'behind')).toBeGreaterThan(behind);
  const lag = () => metricOf(services.metrics, 'worktide_replica_lag_seconds', { pool: 'workspace-read' });
  await eventually(async () => expect(await lag()).toBeGreaterThan(5));
  await toReplica.query('SELECT pg_wal_replay_resume()');
  await unmarked(lin);
  await eventually(async () => expect(await lag()).toBeLessThan(2));
}, 60_000);

test('the replica killed or hanging: lists are answered as before; nobody is unready', async () => {
  const away = () => reads('workspace-read', 'away');
  const hang = async () => {
    // The server's processes are no group.
    const { rows } = await toReplica.query<{ pid: number }>('SELECT pid FROM pg_stat_activity');
    const pids = [replica.pid, ...rows.map(({ pid }) => pid)];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    return () => {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    };
  };
  for (const hurt of [() => replica.kill9(), hang]) {
    const letGo = await hurt();
    const before = await away();
    await until('the primary answers', async () => {
      expect((await namesOf(lin)).length).toBeGreaterThan(3);
      return (await away()) > before;
    });
    expect(await notReady(services.url)).toContain('postgres replica');
    expect((await call(services.url, 'get', '/health/ready')).status).toBe(200);
    letGo?.();
    await replica.restart();
    await unmarked(lin);
  }
}, 90_000);

test('the primary away: changes are 503, lists of those who changed nothing come from the replica', async () => {
  await unmarked(lin);
  await primary.kill9();
  const refused = await call(services.url, 'post', '/api/v1/projects', {
    bearer: boss.accessToken,
    body: { name: 'Lost' },
  });
  expect(refused).toMatchObject({ status: 503, body: { code: expect.stringMatching(/^(DEPENDENCY|TIMEOUT)/) } });
  await until('the replica answers', async () => (await namesOf(lin)).length > 3);
  await primary.restart();
  await until('it is back', async () => (await notReady(services.url))?.length === 0);
  expect(await api(boss, 'post', '/projects', 201, { name: 'Kept' })).toMatchObject({ name: 'Kept' });
}, 60_000);

test('the pooler killed and started again: all services go on', async () => {
  await bouncer.kill9();
  await until('unready', async () => (await notReady(services.url))?.includes('postgres'));
  await bouncer.restart();
  await until('ready', async () => (await notReady(services.url))?.length === 0);
  await api(lin, 'get', '/time-entries/active', 200);
}, 60_000);

test('where marks cannot be read or left, lists are read from the primary', async () => {
  const lifecycle = createLifecycle({ log });
  const pool = createPool(pooled('workspace', 'postgres'), { applicationName: 'marks', max: 2, log });
  lifecycle.onClose('pool', () => pool.end());
  const kept = new Map<string, string>();
  let away = false;
  const requireThere = (): void => {
    if (away) throw new Error('key-value is away');
  };
  const keyValue = {
    async get(key: string) {
      requireThere();
      return kept.get(key);
    },
    async set(key: string, value: string) {
      requireThere();
      kept.set(key, value);
    },
  };
  const metrics = createMetrics();
  const url = pooled('workspace', 'replica');
  const lists = openReads({ service: 'marks', url, pool, keyValue, lifecycle, log, metrics });
  const who = { organizationId: uuidv7(), userId: uuidv7() };
  const atReplica = async (): Promise<boolean> => {
    const where = async (client: { query: Pool['query'] }) =>
      (await client.query('SELECT pg_is_in_recovery() AS it')).rows[0].it as boolean;
    return tenantTransaction(await lists.for(who), who.organizationId, where);
  };
  await until('the replica is known', atReplica);
  await lists.wrote({ organizationId: who.organizationId });
  expect(await atReplica()).toBe(false);
  kept.clear();
  expect(await atReplica()).toBe(true);
  away = true;
  await lists.wrote(who);
  expect(await atReplica()).toBe(false);
  away = false;
  // Whoever else could leave no mark in these seconds is not read behind either.
  expect(await atReplica()).toBe(false);
  await lifecycle.close();
});
