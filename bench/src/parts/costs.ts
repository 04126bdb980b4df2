import type { Report } from '../report.ts';
import { median } from '../statistics.ts';

/** CPU microseconds a ping of each process: the medians of some runs. */
export function addCosts(
  report: Report,
  part: string,
  runs: readonly { pings: number; cpu: Record<string, number> }[],
): void {
  for (const name of Object.keys(runs[0]?.cpu ?? {})) {
    const ours = median(runs.map(({ pings, cpu }) => cpu[name]! / pings));
    report.add({ part, what: `CPU of ${name}`, unit: 'µs/ping', ours });
  }
}
