/** The middle value, of an even number the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest value that at least `share` (0–1) of the values do not exceed (nearest rank); NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Counts durations in steps of 0.01 ms, so that millions of them take no memory; from 10 s on they count as 10 s. */
export interface Histogram {
  add(ms: number): void;
  /** As `percentile`, in milliseconds. */
  percentile(share: number): number;
  readonly count: number;
}

const stepsPerMs = 100;
const maxMs = 10_000;

export function createHistogram(): Histogram {
  const buckets = new Uint32Array(maxMs * stepsPerMs + 1);
  let count = 0;
  return {
    add(ms) {
      buckets[Math.min(buckets.length - 1, Math.round(ms * stepsPerMs))]!++;
      count++;
    },
    percentile(share) {
      const rank = Math.max(1, Math.ceil(share * count));
      let seen = 0;
      for (const [index, n] of buckets.entries()) {
        seen += n;
        if (seen >= rank) return index / stepsPerMs;
      }
      return Number.NaN;
    },
    get count() {
      return count;
    },
  };
}

/** A moment in the course of a run: how much was done by then. */
export interface Progress {
  atMs: number;
  done: number;
}

/**
 * Units per second between two shares (0–1) of what was done in all, interpolated between the samples.
 * NaN where the samples do not span it.
 */
export function rateBetween(samples: readonly Progress[], from: number, to: number): number {
  const last = samples.at(-1);
  if (!last) return Number.NaN;
  const units = (to - from) * last.done;
  return (units / (timeAt(samples, to * last.done) - timeAt(samples, from * last.done))) * 1_000;
}

/** When `done` was reached; progress stands still before the first sample that shows any. */
function timeAt(samples: readonly Progress[], done: number): number {
  const next = samples.findIndex((sample) => sample.done >= done && sample.done > 0);
  const after = samples[next];
  const before = samples[next - 1];
  if (!after || !before) return after && after.done === done ? after.atMs : Number.NaN;
  return before.atMs + ((done - before.done) / (after.done - before.done)) * (after.atMs - before.atMs);
}
