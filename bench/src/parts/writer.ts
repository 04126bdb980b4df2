import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { type Drain, drain } from '../drain.ts';
import { copyRows, readTopic } from '../floors/floors.ts';
import { fullLog, fullTopic } from '../full-topic.ts';
import { peakMemoryMiB } from '../meter.ts';
import { addCosts } from './costs.ts';

const part = 'writer';
/** Each works off the whole topic. */
const maxRounds = 2;

/** The session-writer works off a full topic, beside reading it and COPYing the rows that come of it. */
export async function writer(context: Context): Promise<void> {
  const { report, options, say, engines } = context;
  const runs: Drain[] = [];
  const ours: number[] = [];
  const floors: number[] = [];
  const entries = { ours: [] as number[], bare: [] as number[], indexed: [] as number[] };
  let memory = 0;
  for (let round = 1; round <= Math.min(options.rounds, maxRounds); round++) {
    const area = await openArea(context, `writer${round}`, fullLog);
    const full = await fullTopic(context, area);
    const read = await readTopic(context, area, { topic: 'pings', ...full });
    say(`  floor   read and parsed ${Math.round(read.pings / read.seconds).toLocaleString('en')} pings/s`);
    await area.eventLog.admin.resetGroup('session-writer', 'pings', 'earliest');
    const service = await area.start('session-writer');
    const pids = { 'session-writer': service.pid, postgres: engines.postgres.pid, kafka: engines.kafka.pid };
    const run = await drain(context, area, { group: 'session-writer', topic: 'pings', ...full, pids });
    memory = Math.max(memory, await peakMemoryMiB(service.pid));
    await service.stop();
    say(`  writer  ${Math.round(run.pings / run.seconds).toLocaleString('en')} pings/s`);
    const copied = await copyRows(area.postgres, 'tracking.usage_entries');
    await area.close();
    runs.push(run);
    ours.push(run.pings / run.seconds);
    floors.push(full.pings / (full.pings / (read.pings / read.seconds) + copied.bare));
    entries.ours.push((copied.rows * (run.pings / full.pings)) / run.seconds);
    entries.bare.push(copied.rows / copied.bare);
    entries.indexed.push(copied.rows / copied.indexed);
  }
  report.addPairs(
    { part, what: 'from a full topic; floor: read, JSON.parse, COPY', unit: 'pings/s', goal: '≥ 120,000' },
    ours,
    floors,
  );
  report.addPairs({ part, what: 'entries; floor: COPY without indexes', unit: '1/s' }, entries.ours, entries.bare);
  report.addPairs({ part, what: 'entries; floor: COPY with the indexes', unit: '1/s' }, entries.ours, entries.indexed);
  addCosts(report, part, runs);
  report.add({ part, what: 'peak memory', unit: 'MiB', ours: memory, goal: '≤ 512 MiB' });
}
