import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { drain } from '../drain.ts';
import { fillPings } from '../load/fill.ts';
import { peakMemoryMiB } from '../meter.ts';
import { rateBetween } from '../statistics.ts';
import { apps, pingEventAt } from '../workload.ts';
import { addCosts } from './costs.ts';

const part = 'growth';
/** Enough for the work to be in many transactions, so that a tenth of it can be told from another. */
const users = 10;
const entriesPerUser = 100_000;
const pingsPerRecord = 25;
const pingMs = 5_000;
/** 100,000 pings of five seconds take 5.8 days, and all must lie in the past. */
const daysBack = 8;

/**
 * A few users whose every ping is an entry: does the rate stay as their entries grow from none to 100,000? Also the
 * worst case of the writer, which otherwise writes one entry for some sixteen pings.
 */
export async function growth(context: Context): Promise<void> {
  const { report, options, say, lifecycle, engines } = context;
  const area = await openArea(context, 'growth');
  const pingsPerUser = Math.max(10 * pingsPerRecord, Math.round(entriesPerUser * options.scale));
  const day = Math.floor(Date.now() / 86_400_000 - daysBack) * 86_400_000;
  const records = await fillPings(
    area.eventLog,
    { users, pingsPerUser, pingsPerRecord, day, ping: oneEntry },
    lifecycle,
  );
  const service = await area.start('session-writer');
  const pids = { 'session-writer': service.pid, postgres: engines.postgres.pid };
  const pings = users * pingsPerUser;
  const run = await drain(context, area, { group: 'session-writer', topic: 'pings', records, pings, pids });
  const memory = await peakMemoryMiB(service.pid);
  await area.close();

  const [first, last] = [rateBetween(run.progress, 0.05, 0.25), rateBetween(run.progress, 0.8, 1)];
  say(`  ${Math.round(first).toLocaleString('en')} pings/s early, ${Math.round(last).toLocaleString('en')} late`);
  const range = `0 → ${pingsPerUser.toLocaleString('en')} entries a user, each ping one`;
  report.add({
    part,
    what: `${range}: 80–100 % (beside 5–25 %)`,
    unit: 'pings/s',
    ours: last,
    floor: first,
    ratio: last / first,
    goal: 'flat',
  });
  addCosts(report, part, [run]);
  report.add({ part, what: 'peak memory', unit: 'MiB', ours: memory, goal: '≤ 512 MiB' });
}

function oneEntry(day: number, user: number, slot: number) {
  const startedAt = day + slot * pingMs;
  const { app } = apps[slot % 2 === 0 ? 0 : 2]!;
  return { ...pingEventAt(day, user, slot), startedAt, endedAt: startedAt + pingMs, app, host: null };
}
