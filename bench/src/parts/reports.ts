import { createReports, createSummarize, sweep } from '@worktide/analytics';
import { createClickHouse } from '@worktide/clickhouse';
import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { median } from '../statistics.ts';
import { organizationId, userId } from '../workload.ts';

const part = 'reports';
const users = 1_000;
const days = 30;
const entriesPerDay = 150;
const usersPerInsert = 100;
const repeats = 7;
/** Not UTC, so that days are cut where entries are. */
const timezone = 'Europe/Berlin';

/**
 * The organisation's month and other reports, by the queries that the service runs: live, from what is stored, and from the
 * sums of its days. Nobody waits beside them.
 */
export async function reports(context: Context): Promise<void> {
  const { report, options, say, log } = context;
  const area = await openArea(context, 'reports');
  const clickhouse = createClickHouse(area.clickhouseUrl, { log, application: 'bench' });
  const month = lastMonth();
  const userCount = Math.max(usersPerInsert, Math.round(users * options.scale));
  const entries = userCount * days * entriesPerDay;
  const fill = async (version: number): Promise<void> => {
    for (let first = 0; first < userCount; first += usersPerInsert)
      await clickhouse.command(insertEntries(first, month, version));
    // As the consumer notes them.
    await clickhouse.command(`INSERT INTO day_changes (organization_id, user_id, utc_date)
      SELECT DISTINCT organization_id, user_id, toDate32(started_at) FROM usage`);
  };
  const { userDays, apps, organization, team, user } = createReports({ clickhouse });
  const from = isoDate(month);
  const to = isoDate(month + (days - 1) * 86_400_000);
  const timed = async (work: (i: number) => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < repeats; i++) {
      const startedAt = performance.now();
      await work(i);
      times.push((performance.now() - startedAt) / 1_000);
    }
    return median(times);
  };

  for (const versions of [1, 2]) {
    await fill(versions);
    const stored = versions === 1 ? 'each stored once' : 'each stored twice';
    const size = `${(entries / 1e6).toLocaleString('en')} M entries of ${userCount.toLocaleString('en')} users, ${stored}`;
    const whole = await timed(() => userDays({ organizationId, timezone }, { from, to }));
    const rows = await userDays({ organizationId, timezone }, { from, to });
    if (rows.length !== userCount * days) throw new Error(`the month has ${rows.length} user days`);
    const day = await timed((i) =>
      apps({ organizationId, userId: userId(i * 13), timezone }, isoDate(month + i * 86_400_000)),
    );
    say(`  ${size}: month ${whole.toFixed(3)} s, a user's day ${day.toFixed(3)} s`);
    const goal = versions === 1 ? { goal: '≤ 0.5 s' } : {};
    report.add({ part, what: `month by user and day: ${size}`, unit: 's', ours: whole, ...goal });
    report.add({ part, what: "one user's day of them", unit: 's', ours: day });
  }
  const range = { from, to };
  const reports = async (how: string, goals: Record<string, string>): Promise<void> => {
    const year = { from: isoDate(month - 335 * 86_400_000), to };
    const all = {
      'organisation’s month': () => organization({ organizationId }, range),
      'team page of 50': () => team({ organizationId, ...range, limit: 50 }),
      'one person’s year': (i: number) => user({ organizationId, userId: userId(i * 13), timezone }, year),
    };
    for (const [what, work] of Object.entries(all)) {
      const ours = await timed(work);
      say(`  ${what}, ${how}: ${ours.toFixed(3)} s`);
      report.add({ part, what: `${what}, ${how}`, unit: 's', ours, ...(goals[what] ? { goal: goals[what] } : {}) });
    }
  };
  await clickhouse.command(`INSERT INTO people (organization_id, id, name, role, status, timezone, version, deleted)
    SELECT DISTINCT organization_id, user_id, concat('Person ', toString(user_id)), 'employee', 'active', '${timezone}', 1, 0
    FROM usage`);
  await reports('live', { 'organisation’s month': '≤ 0.5 s' });
  const summarize = createSummarize({ clickhouse, log });
  const startedAt = performance.now();
  await sweep(clickhouse, (found) => summarize(found), new AbortController().signal);
  const took = (performance.now() - startedAt) / 1_000;
  report.add({ part, what: 'days summed up', unit: '1/s', ours: (userCount * days) / took });
  await reports('summed up', {
    'organisation’s month': '≤ 0.05 s',
    'team page of 50': '≤ 0.05 s',
    'one person’s year': '≤ 0.1 s',
  });
  await clickhouse.close();
  await area.close();
}

/** Eight working hours a day from 08:00 UTC: three minutes of an app, ten seconds of nothing, every tenth entry idle. */
const insertEntries = (firstUser: number, month: number, version: number): string => `
INSERT INTO usage (organization_id, user_id, started_at, id, ended_at, device_id, source, app, host, state, version, is_deleted)
SELECT
  toUUID('${organizationId}'), toUUID(concat('${userId(0).slice(0, 24)}', leftPad(lower(hex(user)), 12, '0'))),
  fromUnixTimestamp64Milli(start, 'UTC'), toUUID(concat('00000000-0000-8000-8000-', leftPad(lower(hex(number + ${firstUser} * ${days * entriesPerDay})), 12, '0'))),
  fromUnixTimestamp64Milli(start + 180000, 'UTC'), 'bench', 'window', concat('App ', toString(k % 20)),
  if(k % 3 = 0, concat('host-', toString(k % 30), '.example.com'), ''), if(k % 10 = 9, 'idle', 'active'), ${version}, 0
FROM (
  SELECT number, ${firstUser} + intDiv(number, ${days * entriesPerDay}) AS user, number % ${entriesPerDay} AS k,
    toInt64(${month} + intDiv(number, ${entriesPerDay}) % ${days} * 86400000 + 28800000 + k * 190000) AS start
  FROM numbers(${usersPerInsert * days * entriesPerDay})
)`;

/** A month of at least 30 days that is over, UTC. */
function lastMonth(): number {
  const now = new Date();
  const month = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1);
  const isFebruary = new Date(month).getUTCMonth() === 1;
  return isFebruary ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 2, 1) : month;
}

const isoDate = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
