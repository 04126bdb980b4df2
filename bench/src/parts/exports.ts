import { createClickHouse } from '@worktide/clickhouse';
import { openArea } from '../area.ts';
import { type Context, until } from '../context.ts';
import { peakMemoryMiB } from '../meter.ts';
import { percentile } from '../statistics.ts';
import { organizationId, userId } from '../workload.ts';

const part = 'exports';
const users = 1_000;
const entriesEach = 1_000;
const formats = ['csv', 'json', 'xlsx', 'parquet'] as const;
const day = 86_400_000;

/**
 * A million usage entries of an organisation into a file of each format, through the service; beside it the query alone, its
 * answer thrown away. What other people's reports take is measured before and meanwhile, and the service's memory.
 */
export async function exports(context: Context): Promise<void> {
  const { report, options, say, log } = context;
  const area = await openArea(context, 'exports');
  const clickhouse = createClickHouse(area.clickhouseUrl, { log, application: 'bench', requestTimeoutMs: 120_000 });
  const userCount = Math.max(10, Math.round(users * options.scale));
  const rows = userCount * entriesEach;
  const month = lastMonth();
  await clickhouse.command(insertEntries(month, userCount));
  await clickhouse.command(`INSERT INTO day_changes (organization_id, user_id, utc_date)
    SELECT DISTINCT organization_id, user_id, toDate32(started_at) FROM usage`);
  await clickhouse.command(`INSERT INTO people (organization_id, id, name, role, status, timezone, version, deleted)
    SELECT DISTINCT organization_id, user_id, concat('Person ', toString(user_id)), 'employee', 'active', 'Europe/Berlin', 1, 0
    FROM usage`);
  let analytics = await area.start('analytics');
  const tokens = await area.tokens(userCount);
  const range = { from: new Date(month).toISOString(), to: new Date(month + 31 * day).toISOString() };

  async function call<T>(
    method: string,
    path: string,
    { body, as = 0 }: { body?: object; as?: number } = {},
  ): Promise<T> {
    const response = await fetch(`${analytics.url}/api/v1/reports${path}`, {
      method,
      headers: { authorization: `Bearer ${tokens[as]}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** The same rows by the same key, drained: what no way out of ClickHouse is faster than. */
  async function drain(): Promise<number> {
    const startedAt = performance.now();
    const sql = `SELECT id, user_id, device_id, source, app, host, state, started_at, ended_at FROM usage FINAL
      WHERE organization_id = {organization:UUID} AND user_id BETWEEN {first:UUID} AND {last:UUID}
      ORDER BY user_id, started_at, id`;
    const at = 50;
    for (let first = 0; first < userCount; first += at) {
      const params = {
        organization: organizationId,
        first: userId(first),
        last: userId(Math.min(first + at, userCount) - 1),
      };
      const stream = clickhouse.stream(sql, 'JSONCompactEachRow', {
        params,
        settings: { max_threads: 1, do_not_merge_across_partitions_select_final: 1 },
      });
      for await (const _ of stream);
    }
    return (rows / (performance.now() - startedAt)) * 1_000;
  }

  /** Somebody's apps of a day after the other, until it is told to stop. @returns how long each took, in ms. */
  async function readReports(isOver: () => boolean): Promise<number[]> {
    const times: number[] = [];
    for (let i = 0; !isOver(); i++) {
      const date = new Date(month + (i % 28) * day).toISOString().slice(0, 10);
      const startedAt = performance.now();
      await call('GET', `/apps?date=${date}`, { as: (i * 13) % userCount });
      times.push(performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return times;
  }

  const floor = await drain();
  say(`  the query alone: ${Math.round(floor).toLocaleString('en')} rows/s`);
  const quietEnd = performance.now() + options.seconds * 1_000;
  const quiet = await readReports(() => performance.now() > quietEnd);
  const meanwhile: number[] = [];
  const before = await peakMemoryMiB(analytics.pid);
  for (const format of formats) {
    // Anew, so that the peak is of this format alone.
    await analytics.stop();
    analytics = await area.start('analytics');
    // Once alone, once with somebody who reads reports.
    for (const isAlone of [true, false]) {
      const startedAt = performance.now();
      const { exportId } = await call<{ exportId: string }>('POST', '/exports', {
        body: { report: 'usage', format, people: 'all', ...range },
      });
      let isOver = false;
      const reading = isAlone ? Promise.resolve([]) : readReports(() => isOver);
      let job: { status: string; rows: number; bytes: number } | undefined;
      await until(
        context,
        `the export as ${format}`,
        async () => {
          job = await call<NonNullable<typeof job>>('GET', `/exports/${exportId}`);
          if (job.status === 'failed') throw new Error(`the export as ${format} has failed: ${JSON.stringify(job)}`);
          return job.status === 'ready';
        },
        { deadlineMs: 600_000 },
      );
      const took = (performance.now() - startedAt) / 1_000;
      isOver = true;
      meanwhile.push(...(await reading));
      if (job!.rows !== rows) throw new Error(`the export has ${job!.rows} rows, not ${rows}`);
      if (!isAlone) continue;
      const ours = rows / took;
      const memory = await peakMemoryMiB(analytics.pid);
      say(
        `  ${format}: ${Math.round(ours).toLocaleString('en')} rows/s, ${Math.round(job!.bytes / 1e6)} MB, peak ${memory} MiB`,
      );
      const goal = format === 'csv' ? { goal: '≥ 100,000' } : {};
      report.add({
        part,
        what: `${rows / 1e6} M rows as ${format}`,
        unit: '1/s',
        ours,
        floor,
        ratio: ours / floor,
        ...goal,
      });
      report.add({ part, what: `peak memory of analytics, ${format}`, unit: 'MiB', ours: memory, goal: '≤ 350' });
    }
  }
  report.add({ part, what: 'peak memory of analytics, reports alone', unit: 'MiB', ours: before });
  const [p95, p95Quiet] = [percentile(meanwhile, 0.95), percentile(quiet, 0.95)];
  say(`  reports: p95 ${p95Quiet.toFixed(0)} ms before, ${p95.toFixed(0)} ms meanwhile`);
  report.add({
    part,
    what: 'p95 of reports meanwhile, and before',
    unit: 'ms',
    ours: p95,
    floor: p95Quiet,
    ratio: p95 / p95Quiet,
  });
  await clickhouse.close();
  await area.close();
}

/** A UTC month that is over, of 31 days at most. */
function lastMonth(): number {
  const now = new Date();
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1);
}

/** Entries of a person of three minutes each, one after the other over the month. */
const insertEntries = (month: number, userCount: number): string => `
INSERT INTO usage (organization_id, user_id, started_at, id, ended_at, device_id, source, app, host, state, version, is_deleted)
SELECT toUUID('${organizationId}'), toUUID(concat('${userId(0).slice(0, 24)}', leftPad(lower(hex(intDiv(number, ${entriesEach}))), 12, '0'))),
  fromUnixTimestamp64Milli(start, 'UTC'), toUUID(concat('00000000-0000-8000-8000-', leftPad(lower(hex(number)), 12, '0'))),
  fromUnixTimestamp64Milli(start + 180000, 'UTC'), 'bench', 'window', concat('App ', toString(number % 20)),
  if(number % 3 = 0, concat('host-', toString(number % 30), '.example.com'), ''), if(number % 10 = 9, 'idle', 'active'), 1, 0
FROM (SELECT number, toInt64(${month} + number % ${entriesEach} * 2400000) AS start FROM numbers(${userCount * entriesEach}))`;
