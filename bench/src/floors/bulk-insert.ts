import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type ClickHouse, createClickHouse } from '@worktide/clickhouse';
import type { Context } from '../context.ts';

const rowsPerInsert = 50_000;
/** Kept in memory twice, as bytes and as objects. */
const maxRows = 300_000;

/**
 * Rows a second that the stock client inserts from memory, one insert after another: the rows of a table into an empty
 * one like it, as bytes that the server itself gave (RowBinary), and as objects (JSONEachRow).
 */
export async function bulkInsert(
  { log, lifecycle }: Context,
  url: string,
  table: string,
): Promise<{ binary: number; json: number }> {
  const clickhouse = createClickHouse(url, { log, application: 'bench' });
  try {
    const rows: { binary: Buffer; json: unknown[]; count: number }[] = [];
    const [{ total } = { total: 0 }] = await clickhouse.query<{ total: number }>(
      `SELECT toUInt32(count()) AS total FROM ${table}`,
    );
    for (let from = 0; from < Math.min(total, maxRows); from += rowsPerInsert) {
      if (lifecycle.signal.aborted) throw new Error('stopped while inserting');
      // Not in the order of the table's key, for pings do not arrive so either.
      const page = `SELECT * FROM (SELECT * FROM ${table} LIMIT ${rowsPerInsert} OFFSET ${from}) ORDER BY cityHash64(id)`;
      const { stream } = await clickhouse.client.exec({ query: `${page} FORMAT RowBinary` });
      const binary = Buffer.concat(await Readable.from(stream).toArray());
      const json = await clickhouse.query<unknown>(page, { settings: { output_format_json_quote_64bit_integers: 1 } });
      rows.push({ binary, json, count: json.length });
    }
    const rate = async (insert: (page: (typeof rows)[number]) => Promise<unknown>): Promise<number> => {
      await clickhouse.command(`CREATE TABLE bench_floor AS ${table}`);
      const startedAt = performance.now();
      for (const page of rows) await insert(page);
      const seconds = (performance.now() - startedAt) / 1_000;
      await clickhouse.command('DROP TABLE bench_floor SYNC');
      return rows.reduce((sum, { count }) => sum + count, 0) / seconds;
    };
    return {
      binary: await rate(({ binary }) => insertBinary(clickhouse, binary)),
      json: await rate(({ json }) =>
        clickhouse.client.insert({ table: 'bench_floor', values: json, format: 'JSONEachRow' }),
      ),
    };
  } finally {
    await clickhouse.close();
  }
}

async function insertBinary(clickhouse: ClickHouse, binary: Buffer): Promise<void> {
  const { stream } = await clickhouse.client.exec({
    query: 'INSERT INTO bench_floor FORMAT RowBinary',
    values: Readable.from([binary], { objectMode: false }),
  });
  await finished(stream.resume());
}
