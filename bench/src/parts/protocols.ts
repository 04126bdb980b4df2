import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { startLoadGenerator } from '../load/generator.ts';
import type { LoadJob, LoadResult } from '../load/protocol.ts';
import { yesterday } from '../workload.ts';

const users = 2_000;
const connections = 50;

/** Heartbeats of other systems' agents, each new and durable when it is answered, beside `POST /pings` of one new ping. */
export async function protocols(context: Context): Promise<void> {
  const { report, options, say, lifecycle } = context;
  const area = await openArea(context, 'protocols');
  const gateway = await area.start('ingest-gateway');
  const service = await area.start('agent-protocols');
  const load = startLoadGenerator(lifecycle);
  const tokens = await area.tokens(users);
  const base = { tokens, users, connections, pingsPerRequest: 1, pings: 'fresh' } as const;
  let day = yesterday() - 60 * 86_400_000;

  async function measure(protocol?: LoadJob['protocol']): Promise<LoadResult> {
    // A day of its own for each, so that nothing has been there before, and later than the one before.
    day += 86_400_000;
    const { port } = protocol ? service : gateway;
    const job = { ...base, day, port, warmUpMs: 1_000, measureMs: options.seconds * 1_000 };
    const result = await load.run(protocol ? { ...job, protocol } : job);
    const rate = result.accepted / result.seconds;
    say(
      `  ${(protocol ?? 'pings').padEnd(13)} ${Math.round(rate).toLocaleString('en')}/s, p50 ${result.p50} ms, p99 ${result.p99} ms`,
    );
    return result;
  }

  const names = ['activitywatch', 'wakatime'] as const;
  for (const name of [undefined, ...names]) await measure(name);
  const runs = new Map<string, LoadResult[]>(names.map((name) => [name, []]));
  const floors: LoadResult[] = [];
  for (let round = 0; round < options.rounds; round++) {
    floors.push(await measure());
    for (const name of names) runs.get(name)!.push(await measure(name));
  }
  const rates = (results: readonly LoadResult[]) => results.map(({ accepted, seconds }) => accepted / seconds);
  for (const name of names) {
    const part = `${name}, ${connections} connections`;
    report.addPairs(
      { part, what: 'heartbeats, beside single pings', unit: '1/s', goal: '≥ 0.6' },
      rates(runs.get(name)!),
      rates(floors),
    );
    const times = (key: 'p50' | 'p99') =>
      [runs.get(name)!.map((run) => run[key]), floors.map((run) => run[key])] as const;
    report.addPairs({ part, what: 'p50', unit: 'ms' }, ...times('p50'));
    report.addPairs({ part, what: 'p99', unit: 'ms' }, ...times('p99'));
  }
  await area.close();
}
