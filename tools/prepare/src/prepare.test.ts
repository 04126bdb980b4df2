import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createClickHouse } from '@worktide/clickhouse';
import { openEventLog } from '@worktide/event-log';
import { openObjectStore } from '@worktide/object-store';
import { createPool, type Pool } from '@worktide/postgres';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import { partNames } from './config.ts';
import { databases } from './engines.ts';
import { runPrepare } from './run.ts';

const name = `prepare_${randomBytes(6).toString('hex')}`;
const log = silentLogger();
let env: Record<string, string>;
let server: Pool;
let database: Pool;

function withPath(url: string, path: string): string {
  const changed = new URL(url);
  changed.pathname = `/${path}`;
  return changed.href;
}

beforeAll(async () => {
  const [postgres, clickhouse, kafka, s3] = await Promise.all(
    (['postgres', 'clickhouse', 'kafka', 's3'] as const).map((engine) => backend(engine)),
  );
  server = createPool(postgres!, { applicationName: 'test', log });
  database = createPool(withPath(postgres!, name), { applicationName: 'test', log });
  const bucket = new URL(s3!);
  bucket.hostname = name.replaceAll('_', '-');
  env = {
    ADMIN_POSTGRES_URL: withPath(postgres!, name),
    // What tests of the services say too: roles belong to the whole server.
    AUTH_POSTGRES_PASSWORD: 'secret',
    SESSION_WRITER_POSTGRES_PASSWORD: 'secret',
    WORKSPACE_POSTGRES_PASSWORD: 'secret',
    SCREENSHOT_PROCESSOR_POSTGRES_PASSWORD: 'secret',
    ANALYTICS_POSTGRES_PASSWORD: 'secret',
    AGENT_PROTOCOLS_POSTGRES_PASSWORD: 'secret',
    // As a secret has it that the service reads as well.
    REALTIME_POSTGRES_URL: 'postgres://worktide_realtime:secret@elsewhere/worktide',
    ADMIN_CLICKHOUSE_URL: withPath(clickhouse!, name),
    ADMIN_EVENT_LOG_URL: `${kafka}?prefix=${name}-`,
    ADMIN_OBJECT_STORE_URL: bucket.href,
  };
});
afterAll(async () => {
  await database?.end();
  await server?.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await server?.end();
  const clickhouse = createClickHouse(withPath(env.ADMIN_CLICKHOUSE_URL!, 'default'), { log });
  await clickhouse.command(`DROP DATABASE IF EXISTS ${name} SYNC`);
  await clickhouse.close();
});

async function run(argv: string[], environment: Record<string, string | undefined> = env) {
  const out: string[] = [];
  const err: string[] = [];
  const status = await runPrepare(argv, environment, log, {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
  });
  return { status, out, err: err.join('\n') };
}

/** All that is there, with what shows that it was made again. */
async function state(): Promise<unknown> {
  const clickhouse = createClickHouse(env.ADMIN_CLICKHOUSE_URL!, { log });
  const eventLog = openEventLog(env.ADMIN_EVENT_LOG_URL!, { clientId: 'test', log, metrics: createMetrics() });
  const store = openObjectStore(env.ADMIN_OBJECT_STORE_URL!, { log, metrics: createMetrics() });
  try {
    const rows = async (sql: string) => (await database.query(sql)).rows;
    const schemas = Object.values(databases).map(({ schema }) => schema);
    return {
      relations: await rows(
        `SELECT oid, oid::regclass::text AS name, relacl::text FROM pg_class
         WHERE relnamespace::regnamespace::text = ANY('{${schemas}}') ORDER BY oid`,
      ),
      schemas: await rows(
        `SELECT oid, nspname, nspacl::text FROM pg_namespace WHERE nspname = ANY('{${schemas}}') ORDER BY oid`,
      ),
      settings: await rows(
        `SELECT setrole::regrole::text AS role, setconfig FROM pg_db_role_setting
         WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = '${name}') ORDER BY 1`,
      ),
      migrations: await Promise.all(schemas.map((schema) => rows(`SELECT * FROM ${schema}.migrations ORDER BY name`))),
      tables: await clickhouse.query(
        `SELECT name, create_table_query, toString(metadata_modification_time) AS at FROM system.tables
         WHERE database = '${name}' ORDER BY name`,
      ),
      applied: await clickhouse.query('SELECT name, checksum, toString(applied_at) AS at FROM migrations ORDER BY ALL'),
      topics: (await eventLog.admin.topicNames()).sort(),
      objects: (await store.list('', { limit: 10 })).items,
    };
  } finally {
    await Promise.all([clickhouse.close(), eventLog.close(), store.close()]);
  }
}

test('twice at once, on engines that have nothing: both make what the services need, and a third run changes nothing', async () => {
  const both = await Promise.all([run(['all']), run(['all'])]);
  const prepared = { status: 0, out: partNames.map((part) => `${part}: prepared`), err: '' };
  expect(both).toEqual([prepared, prepared]);

  // Each service gets in with its password, and finds its tables.
  for (const { role, schema } of Object.values(databases)) {
    const url = new URL(env.ADMIN_POSTGRES_URL!);
    url.username = role;
    url.password = 'secret';
    const pool = createPool(url.href, { applicationName: 'test', log });
    const { rows } = await pool.query('SELECT current_schema() AS schema, count(*) > 0 AS migrated FROM migrations');
    expect(rows).toEqual([{ schema, migrated: true }]);
    await pool.end();
  }
  const store = openObjectStore(env.ADMIN_OBJECT_STORE_URL!, { log, metrics: createMetrics() });
  await store.check();
  await store.put('kept', Buffer.from('x'), { contentType: 'text/plain' });
  await store.close();

  const before = (await state()) as { topics: string[]; tables: unknown[] };
  expect(before.topics).toEqual(
    allTopics()
      .map((topic) => topic.name)
      .sort(),
  );
  expect(before.tables.length).toBeGreaterThan(3);
  expect(await run(['all'])).toEqual(prepared);
  expect(await state()).toEqual(before);
}, 180_000);

test('a part needs its own environment and no other; all problems are told at once, and nothing is done', async () => {
  expect(await run(['bucket'], { ADMIN_OBJECT_STORE_URL: env.ADMIN_OBJECT_STORE_URL })).toMatchObject({
    status: 0,
    out: ['bucket: prepared'],
  });
  const bad = await run(['postgres', 'topics', 'bucket'], {
    ...env,
    ADMIN_POSTGRES_URL: 'mysql://admin:hunter2@host/x',
    AUTH_POSTGRES_PASSWORD: '',
    REALTIME_POSTGRES_URL: 'postgres://somebody:secret@elsewhere/worktide',
    ADMIN_EVENT_LOG_URL: '',
    EVENT_LOG_REPLICATION: '0',
  });
  expect(bad).toMatchObject({ status: 78, out: [] });
  for (const variable of [
    'ADMIN_POSTGRES_URL',
    'REALTIME_POSTGRES_URL',
    'ADMIN_EVENT_LOG_URL',
    'EVENT_LOG_REPLICATION',
  ])
    expect(bad.err).toContain(`${variable}:`);
  expect(bad.err).not.toContain('hunter2');
  const { REALTIME_POSTGRES_URL: _, ...without } = env;
  const none = await run(['postgres'], { ...without, AUTH_POSTGRES_PASSWORD: '' });
  expect(none.status).toBe(78);
  for (const variable of ['AUTH_POSTGRES_PASSWORD', 'REALTIME_POSTGRES_PASSWORD'])
    expect(none.err).toContain(`${variable}: neither it nor`);
});

test('what is away is said, with status 1 and without the password', async () => {
  const { status, err } = await run(['postgres'], {
    ...env,
    ADMIN_POSTGRES_URL: 'postgres://admin:hunter2@127.0.0.1:9/worktide',
  });
  expect(status).toBe(1);
  expect(err).toMatch(/postgres.*ECONNREFUSED/);
  expect(err).not.toContain('hunter2');
  const bucket = 's3://key:hunter2hunter2@bucket?endpoint=http://127.0.0.1:9&region=us-east-1&pathStyle=true';
  expect(await run(['bucket'], { ADMIN_OBJECT_STORE_URL: bucket })).toMatchObject({
    status: 1,
    err: expect.stringMatching(/object store.*ECONNREFUSED/),
  });
});

test('arguments that mean nothing are refused before anything is done', async () => {
  expect(await run([])).toMatchObject({ status: 2, out: [], err: expect.stringMatching(/^usage: /) });
  expect(await run(['all', 'bukcet'])).toMatchObject({ status: 2, out: [], err: expect.stringContaining('bukcet') });
});
