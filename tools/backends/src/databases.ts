import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { backend } from './client.ts';

const newName = (): string => `test_${randomBytes(8).toString('hex')}`;

async function command(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/**
 * A new, empty PostgreSQL database for one test file.
 * Roles belong to the whole server: other test files may have made the same ones, at the same moment.
 * @param ofItsOwn URL of a server that is no other test's, where transactions of others would be seen.
 * @returns `adminUrl` is the superuser's. `drop` also ends sessions that are still open.
 */
export async function freshDatabase(ofItsOwn?: string): Promise<{ adminUrl: string; drop(): Promise<void> }> {
  const server = ofItsOwn ?? (await backend('postgres'));
  const name = newName();
  await command(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    adminUrl: url.href,
    drop: () => command(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

/** A new, empty ClickHouse database for one test file; `url` names it in its path. */
export async function freshClickHouseDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const server = await backend('clickhouse');
  const name = newName();
  await clickHouse(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async drop() {
      // What analysts see of it stands beside it.
      await clickHouse(server, `DROP DATABASE IF EXISTS ${name}_v1 SYNC`);
      await clickHouse(server, `DROP DATABASE IF EXISTS ${name} SYNC`);
    },
  };
}

async function clickHouse(server: string, sql: string): Promise<void> {
  const url = new URL(server);
  const headers = {
    'x-clickhouse-user': decodeURIComponent(url.username) || 'default',
    'x-clickhouse-key': decodeURIComponent(url.password),
  };
  const response = await fetch(url.origin, { method: 'POST', headers, body: sql });
  const text = await response.text();
  if (!response.ok) throw new Error(`ClickHouse refused "${sql}": ${text}`);
}
