import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Pool } from '@worktide/postgres';
import pg from 'pg';
import type { Area } from '../area.ts';
import type { Context } from '../context.ts';

/** Reads and parses a whole topic of pings in a process of its own. */
export async function readTopic(
  context: Context,
  area: Area,
  given: { topic: string; records: number },
): Promise<{ pings: number; seconds: number; cpuMicros: number }> {
  const file = fileURLToPath(new URL('./read-topic.ts', import.meta.url));
  const broker = new URL(context.engines.kafka.url).host;
  const args = ['--broker', broker, '--topic', area.topicName(given.topic), '--records', String(given.records)];
  const signal = context.lifecycle.signal;
  const { stdout } = await promisify(execFile)(process.execPath, [file, ...args], { signal, timeout: 300_000 });
  return JSON.parse(stdout) as { pings: number; seconds: number; cpuMicros: number };
}

/**
 * Seconds that PostgreSQL takes to COPY the rows of a table, from a file of its own, into one without any index and
 * into one with the same indexes and constraints.
 */
export async function copyRows(admin: Pool, table: string): Promise<{ rows: number; bare: number; indexed: number }> {
  const columns = await columnsOf(admin, table);
  const folder = await admin.query<{ data_directory: string }>('SHOW data_directory');
  const file = pg.escapeLiteral(`${folder.rows[0]!.data_directory}/bench.copy`);
  const { rowCount: rows } = await admin.query(`COPY (SELECT ${columns} FROM ${table}) TO ${file}`);
  const seconds = async (including: string): Promise<number> => {
    await admin.query(`CREATE TABLE bench_copy (LIKE ${table} ${including})`);
    const startedAt = performance.now();
    await admin.query(`COPY bench_copy (${columns}) FROM ${file}`);
    const taken = (performance.now() - startedAt) / 1_000;
    await admin.query('DROP TABLE bench_copy');
    return taken;
  };
  return { rows: rows ?? 0, bare: await seconds('INCLUDING GENERATED'), indexed: await seconds('INCLUDING ALL') };
}

async function columnsOf(admin: Pool, table: string): Promise<string> {
  const { rows } = await admin.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
    [table],
  );
  return rows.map(({ name }) => name).join(', ');
}
