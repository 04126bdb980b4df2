import { type Area, openArea } from '../area.ts';
import { type Context, until } from '../context.ts';
import { startLoadGenerator } from '../load/generator.ts';
import type { LoadResult } from '../load/protocol.ts';
import { peakMemoryMiB, startMeter } from '../meter.ts';
import { slotMs, yesterday } from '../workload.ts';
import { addCosts } from './costs.ts';

const part = 'all together';
const users = 2_000;
const connections = 200;
const pingsPerRequest = 25;
/** Of all users, spread evenly, whose entries and report are compared with what was accepted. */
const checkedUsers = 50;

/**
 * All services at once: as much as the gateway takes for a while, then until every accepted ping is in its entry and
 * in the report. Also checks that the sums are right to the second.
 */
export async function endToEnd(context: Context): Promise<void> {
  const { report, options, say, lifecycle, engines } = context;
  const area = await openArea(context, 'together');
  const day = yesterday();
  const gateway = await area.start('ingest-gateway');
  const writer = await area.start('session-writer');
  const analytics = await area.start('analytics');
  const tokens = await area.tokens(users);
  const load = startLoadGenerator(lifecycle);
  const stop = await startMeter({
    'ingest-gateway': gateway.pid,
    'session-writer': writer.pid,
    analytics: analytics.pid,
    kafka: engines.kafka.pid,
    postgres: engines.postgres.pid,
    clickhouse: engines.clickhouse.pid,
    'the load': load.pid,
  });
  const startedAt = performance.now();
  const measureMs = Math.max(2_000, options.seconds * 4_000 * options.scale);
  const job = { port: gateway.port, connections, pingsPerRequest, users, tokens, day, pings: 'fresh' as const };
  const result = await load.run({ ...job, warmUpMs: 0, measureMs });
  const loadedMs = performance.now() - startedAt;
  await complete(context, area);
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = await stop();
  const pings = result.acceptedInAll;
  say(
    `  ${pings.toLocaleString('en')} pings, accepted in ${(loadedMs / 1_000).toFixed(1)} s, complete after ${seconds.toFixed(1)} s`,
  );

  await checkSums(result, { usage: writer.url, reports: analytics.url, tokens, day });
  report.add({
    part,
    what: 'from request to entries and report',
    unit: 'pings/s',
    ours: pings / seconds,
    goal: '≥ 60,000',
  });
  report.add({ part, what: 'accepted meanwhile', unit: 'pings/s', ours: pings / (loadedMs / 1_000) });
  addCosts(report, part, [{ pings, cpu }]);
  for (const [name, { pid }] of Object.entries({ 'ingest-gateway': gateway, 'session-writer': writer, analytics })) {
    report.add({
      part,
      what: `peak memory of ${name}`,
      unit: 'MiB',
      ours: await peakMemoryMiB(pid),
      goal: '≤ 512 MiB',
    });
  }
  await area.close();
}

/** The writer commits a batch only after its events are on the log: in this order, nothing is missed. */
async function complete(context: Context, area: Area): Promise<void> {
  for (const [group, topic] of [
    ['session-writer', 'pings'],
    ['analytics-pings', 'pings'],
    ['analytics-usage', 'usage'],
  ] as const) {
    const done = async (): Promise<boolean> => (await area.lag(group, [topic])) === 0;
    await until(context, `${group} to finish ${topic}`, done, { deadlineMs: 600_000 });
  }
}

/** @throws Error where a user's entries or report are not what was accepted. */
async function checkSums(
  { acceptedByUser }: LoadResult,
  { usage, reports, tokens, day }: { usage: string; reports: string; tokens: string[]; day: number },
): Promise<void> {
  const date = new Date(day).toISOString().slice(0, 10);
  const range = `from=${date}T00:00:00.000Z&to=${new Date(day + 86_400_000).toISOString()}`;
  for (let i = 0; i < checkedUsers; i++) {
    const user = Math.floor((i * users) / checkedUsers);
    const expected = (acceptedByUser[user]! * slotMs) / 1_000;
    const report = await get<{ totalSeconds: number }>(`${reports}/api/v1/reports/apps?date=${date}`, tokens[user]!);
    let entries = 0;
    let cursor: string | null = null;
    do {
      const page: { items: { seconds: number }[]; nextCursor: string | null } = await get(
        `${usage}/api/v1/usage?${range}&limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
        tokens[user]!,
      );
      entries += page.items.reduce((sum, { seconds }) => sum + seconds, 0);
      cursor = page.nextCursor;
    } while (cursor);
    if (report.totalSeconds !== expected || entries !== expected) {
      throw new Error(
        `user ${user}: ${expected} s accepted, ${entries} s in entries, ${report.totalSeconds} s in the report`,
      );
    }
  }
}

async function get<T>(url: string, token: string): Promise<T> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}
