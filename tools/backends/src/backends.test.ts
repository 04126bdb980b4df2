import { mkdtemp, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import pg from 'pg';
import { backend, type Engine, freshClickHouseDatabase, freshDatabase, startPostgres } from './index.ts';

describe('freshDatabase', () => {
  let database: Awaited<ReturnType<typeof freshDatabase>>;
  beforeAll(async () => {
    database = await freshDatabase();
  });
  afterAll(() => database.drop());

  test('is an empty PostgreSQL 18 database of its own, for a superuser, with fsync on', async () => {
    const client = new pg.Client({ connectionString: database.adminUrl });
    await client.connect();
    const { rows } = await client.query(
      "SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('fsync') AS fsync, " +
        '(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super, ' +
        "(SELECT count(*)::int FROM information_schema.tables WHERE table_schema = 'public') AS tables",
    );
    await client.end();
    expect(rows).toEqual([{ version: 18, fsync: 'on', super: true, tables: 0 }]);
  });
});

test('an engine is started once: every call gets the same URL', async () => {
  const [first, second] = await Promise.all([backend('kafka'), backend('kafka')]);
  expect(first).toMatch(/^kafka:\/\/127\.0\.0\.1:\d+$/);
  expect(second).toBe(first);
});

describe('freshClickHouseDatabase', () => {
  test('is an empty database of its own, named in the URL', async () => {
    const database = await freshClickHouseDatabase();
    const url = new URL(database.url);
    const ask = async (query: string): Promise<string> => {
      const path = `${url.origin}/?database=${url.pathname.slice(1)}&query=${encodeURIComponent(query)}`;
      return (await (await fetch(path)).text()).trim();
    };
    expect(await ask('SELECT count() FROM system.tables WHERE database = currentDatabase()')).toBe('0');
    expect(await ask('SELECT currentDatabase()')).toBe(url.pathname.slice(1));
    await database.drop();
    expect(await ask('SELECT 1')).toContain('UNKNOWN_DATABASE');
  });
});

describe("an engine of one's own", () => {
  let dir: string;
  let engine: Engine | undefined;
  const ends: string[] = [];
  beforeAll(async () => {
    // Closed to all others, as a clone under /root is to the user `postgres`.
    dir = await mkdtemp(path.join(tmpdir(), 'worktide-own-'));
  });
  afterAll(async () => {
    await engine?.kill9();
    const linked = await readlink(path.join(dir, 'postgres', 'data')).catch(() => undefined);
    if (linked) await rm(path.dirname(linked), { recursive: true });
    await rm(dir, { recursive: true, force: true });
  });

  async function query(sql: string): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: engine!.url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  test('keeps what was committed when it is killed and started again, on the same port', async () => {
    engine = await startPostgres({ dir: path.join(dir, 'postgres'), onUnexpectedEnd: (how) => ends.push(how) });
    const { url, pid } = engine;
    await query('CREATE TABLE t AS SELECT 42 AS n');
    await engine.kill9();
    await expect(query('SELECT 1')).rejects.toThrow(/ECONNREFUSED/);
    await engine.restart();
    expect(engine.url).toBe(url);
    expect(engine.pid).not.toBe(pid);
    expect(await query('SELECT n FROM t')).toEqual([{ n: 42 }]);
    await engine.stop();
    expect(ends).toEqual([]);
  });

  test('is continued by another start on the same folder, and an end that nobody asked for is told', async () => {
    engine = await startPostgres({ dir: path.join(dir, 'postgres'), onUnexpectedEnd: (how) => ends.push(how) });
    expect(await query('SELECT n FROM t')).toEqual([{ n: 42 }]);
    process.kill(engine.pid, 'SIGKILL');
    await until('its end is told', () => ends.length > 0);
    expect(ends).toEqual(['exit SIGKILL']);
  });
});

test('an engine that cannot start says why, with its last words', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'worktide-bad-'));
  const start = startPostgres({ dir, settings: ['no_such_setting=1'] });
  await expect(start).rejects.toThrow(/postgres ended while starting[\s\S]*no_such_setting/);
  await rm(dir, { recursive: true, force: true });
});
