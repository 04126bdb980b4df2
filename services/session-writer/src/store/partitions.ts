import { type Pool, transaction } from '@worktide/postgres';
import { type Logger, unavailable } from '@worktide/runtime';
import { addMonths, type Month, monthEnd, monthOf, monthStart } from '../merge/index.ts';

/** Months made before anybody needs them: a maintenance that fails for weeks is noticed first. */
const monthsAhead = 3;
const tables = ['usage_entries', 'usage_gaps'] as const;
/** ATTACH and DROP wait behind running statements, and everybody else behind them: not for longer than this. */
const lockTimeout = '2s';

export interface Partitions {
  /** Makes partitions that are missing. Does nothing, and asks nobody, for months seen before. */
  ensure(months: Iterable<Month>): Promise<void>;
  /** Months that have partitions now, oldest first. */
  existing(): Promise<Month[]>;
  /** False for a month that retention has dropped, or will. */
  isKept(month: Month): boolean;
  /** Start of the oldest month that is kept, epoch ms. */
  keptFrom(): number;
  /** End of the months made ahead, epoch ms: a ping later than this would only make tables for a wrong clock. */
  horizon(): number;
  /** Makes the months ahead and drops those past retention; what was made and dropped. */
  maintain(): Promise<{ made: Month[]; dropped: Month[] }>;
  /** For readiness: throws until the months ahead have been made once by this process. */
  check(): void;
  /** What was known of the database may be wrong: asks again. */
  forget(): void;
}

export interface PartitionsOptions {
  pool: Pool;
  /** Full months kept besides the present one. */
  retentionMonths: number;
  log: Logger;
  now?: () => number;
}

/** Partitions by UTC month, made and dropped by the service itself; any number of replicas may do so at once. */
export function createPartitions({ pool, retentionMonths, log, now = Date.now }: PartitionsOptions): Partitions {
  const known = new Set<Month>();
  let maintained = false;
  const oldest = (): Month => addMonths(monthOf(now()), -retentionMonths);
  const isKept = (month: Month): boolean => month >= oldest();
  const keptFrom = (): number => monthStart(oldest());

  async function ensure(months: Iterable<Month>): Promise<void> {
    for (const month of months) {
      if (known.has(month)) continue;
      if (await makeMonth(pool, month)) log.info({ month }, 'partitions made');
      known.add(month);
    }
  }

  async function maintain(): Promise<{ made: Month[]; dropped: Month[] }> {
    const before = await existingMonths(pool);
    const wanted = Array.from({ length: monthsAhead + 1 }, (_, i) => addMonths(monthOf(now()), i));
    known.clear();
    await ensure(wanted);
    maintained = true;
    const dropped: Month[] = [];
    for (const month of before.filter((m) => !isKept(m))) {
      await dropMonth(pool, month);
      log.info({ month }, 'partitions dropped by retention');
      dropped.push(month);
    }
    // Nothing that could still arrive falls into it.
    await pool.query('DELETE FROM erased_ranges WHERE ended_at <= $1', [keptFrom()]);
    return { made: wanted.filter((m) => !before.includes(m)), dropped };
  }

  return {
    ensure,
    existing: () => existingMonths(pool),
    isKept,
    keptFrom,
    horizon: () => monthEnd(addMonths(monthOf(now()), monthsAhead)),
    maintain,
    check() {
      if (!maintained) throw unavailable('postgres', new Error('the tables of this month are not there yet'));
    },
    forget: () => known.clear(),
  };
}

/** `usage_entries_2026_11`. Statements about one month name it: they are planned without a look at the others. */
export const partitionOf = (table: (typeof tables)[number], month: Month): string =>
  `${table}_${month.slice(0, 7).replace('-', '_')}`;

async function existingMonths(pool: Pool): Promise<Month[]> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'usage_gaps'::regclass ORDER BY 1`,
  );
  return rows.map(({ name }) => `${name.slice(-7).replace('_', '-')}-01`);
}

// One maker at a time: CREATE TABLE IF NOT EXISTS of two at once would fail one of them.
const oneAtATime = `SET LOCAL lock_timeout = '${lockTimeout}';
  SELECT pg_advisory_xact_lock(hashtextextended('worktide usage partitions', 0))`;

/** @returns false where it was there already. */
async function makeMonth(pool: Pool, month: Month): Promise<boolean> {
  return transaction(pool, async (client) => {
    await client.query(oneAtATime);
    // The last to be made tells that all are there.
    const last = partitionOf(tables[tables.length - 1]!, month);
    const { rows } = await client.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [last]);
    if (rows[0]!.found) return false;
    for (const table of tables) {
      const name = partitionOf(table, month);
      // ATTACH stops neither readers nor writers of the other months; CREATE TABLE … PARTITION OF would.
      await client.query(
        `CREATE TABLE ${name} (LIKE ${table} INCLUDING ALL,
           CHECK (started_at >= ${monthStart(month)} AND ended_at <= ${monthEnd(month)})
         ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
         ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES IN ('${month}')`,
      );
    }
    return true;
  });
}

async function dropMonth(pool: Pool, month: Month): Promise<void> {
  await transaction(pool, async (client) => {
    await client.query(oneAtATime);
    for (const table of tables) await client.query(`DROP TABLE IF EXISTS ${partitionOf(table, month)}`);
  });
}
