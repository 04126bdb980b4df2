import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { type Drain, drain } from '../drain.ts';
import { bulkInsert } from '../floors/bulk-insert.ts';
import { fullLog, fullTopic } from '../full-topic.ts';
import { peakMemoryMiB } from '../meter.ts';
import { addCosts } from './costs.ts';

const part = 'analytics';
/** Each works off the whole topic. */
const maxRounds = 2;

/** Analytics works off a full topic of pings, beside inserting the same rows from memory. */
export async function analytics(context: Context): Promise<void> {
  const { report, options, say, engines } = context;
  const runs: Drain[] = [];
  const floors: { binary: number; json: number }[] = [];
  let memory = 0;
  for (let round = 1; round <= Math.min(options.rounds, maxRounds); round++) {
    const area = await openArea(context, `analytics${round}`, fullLog);
    const full = await fullTopic(context, area);
    await area.eventLog.admin.resetGroup('analytics-pings', 'pings', 'earliest');
    const service = await area.start('analytics');
    const pids = { analytics: service.pid, clickhouse: engines.clickhouse.pid, kafka: engines.kafka.pid };
    const run = await drain(context, area, { group: 'analytics-pings', topic: 'pings', ...full, pids });
    memory = Math.max(memory, await peakMemoryMiB(service.pid));
    await service.stop();
    say(`  analytics ${Math.round(run.pings / run.seconds).toLocaleString('en')} pings/s`);
    const floor = await bulkInsert(context, area.clickhouseUrl, 'pings');
    say(
      `  floor     ${Math.round(floor.binary).toLocaleString('en')} rows/s, as JSON ${Math.round(floor.json).toLocaleString('en')}`,
    );
    await area.close();
    runs.push(run);
    floors.push(floor);
  }
  const ours = runs.map((run) => run.pings / run.seconds);
  report.addPairs(
    { part, what: 'from a full topic; floor: bulk insert, RowBinary', unit: 'pings/s', goal: '≥ 150,000' },
    ours,
    floors.map(({ binary }) => binary),
  );
  report.addPairs(
    { part, what: 'the same; floor: bulk insert, JSONEachRow', unit: 'pings/s' },
    ours,
    floors.map(({ json }) => json),
  );
  addCosts(report, part, runs);
  report.add({ part, what: 'peak memory', unit: 'MiB', ours: memory, goal: '≤ 512 MiB' });
}
