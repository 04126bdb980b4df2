import type { Logger } from '@worktide/runtime';
import pg from 'pg';
import { mapPostgresError } from './errors.ts';
import { verifiedUrl } from './url.ts';

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

/**
 * Makes the database that a URL names where it is missing; several may do so at once.
 * @param adminUrl of a role that may create databases, and enter `postgres` where this one is missing.
 * @throws AppError 503 where the server is away.
 */
export async function ensureDatabase(adminUrl: string, { log }: { log: Logger }): Promise<void> {
  const name = decodeURIComponent(new URL(adminUrl).pathname.slice(1));
  try {
    if (name === '' || (await isThere(adminUrl))) return;
    const server = new URL(adminUrl);
    server.pathname = '/postgres';
    await asked(server.href, async (client) => {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
      log.info({ database: name }, 'database made');
    });
  } catch (error) {
    // duplicate_database, or the catalogue's own index: somebody else was quicker.
    if (codeOf(error) !== '42P04' && codeOf(error) !== '23505') throw mapPostgresError(error);
  }
}

async function isThere(url: string): Promise<boolean> {
  try {
    await asked(url, async () => {});
    return true;
  } catch (error) {
    // invalid_catalog_name
    if (codeOf(error) === '3D000') return false;
    throw error;
  }
}

async function asked(url: string, ask: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: verifiedUrl(url), connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await ask(client);
  } finally {
    await client.end().catch(() => {});
  }
}
