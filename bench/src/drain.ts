import type { Area } from './area.ts';
import { type Context, until } from './context.ts';
import { startMeter } from './meter.ts';
import type { Progress } from './statistics.ts';

export interface Drain {
  /** Pings done since the service was ready, and in how many seconds. */
  pings: number;
  seconds: number;
  /** Of the whole topic. */
  progress: Progress[];
  cpu: Record<string, number>;
}

export interface DrainOptions {
  group: string;
  topic: string;
  records: number;
  pings: number;
  pids: Record<string, number>;
}

/** Watches a consumer, which is ready, work off a full topic. Progress is what it has committed. */
export async function drain(context: Context, area: Area, options: DrainOptions): Promise<Drain> {
  const { group, topic, records, pings, pids } = options;
  const progress: Progress[] = [];
  const sample = async (): Promise<number> => {
    const lag = await area.lag(group, [topic]);
    progress.push({ atMs: performance.now(), done: Math.round(((records - lag) / records) * pings) });
    return lag;
  };
  const stop = await startMeter(pids);
  await until(context, `${group} to finish ${topic}`, async () => (await sample()) === 0, { deadlineMs: 600_000 });
  const cpu = await stop();
  const first = progress[0]!;
  const last = progress.at(-1)!;
  return { pings: last.done - first.done, seconds: (last.atMs - first.atMs) / 1_000, progress, cpu };
}
