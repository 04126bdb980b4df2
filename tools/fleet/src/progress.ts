/** Counts and latencies of a run; whoever prints reads them. */
export interface Stats {
  /** Pings in requests that were sent, repeats included, each attempt once. */
  sent: number;
  acknowledged: number;
  /** Items refused, by the code they were refused with. */
  rejected: Map<string, number>;
  requests: number;
  /** Attempts that were refused for now (429, 5xx), by status and code, or lost their answer (`lost`). */
  retried: Map<string, number>;
  /** Milliseconds from sending to the answer of acknowledged requests. */
  latency: Latency;
  /** The same of the present part of a run that has parts, e.g. before and during a siege. */
  phase?: Latency;
}

export interface Latency {
  add(ms: number): void;
  /** @param share in (0, 1] @returns milliseconds, 0 before the first */
  quantile(share: number): number;
}

/** Counts in buckets that grow by 2^(1/8), so within 9 %, whatever the number of requests. */
export function createLatency(): Latency {
  const buckets: number[] = [];
  let total = 0;
  return {
    add(ms) {
      const bucket = Math.max(0, Math.ceil(8 * Math.log2(Math.max(ms, 0.01) * 100)));
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
      total++;
    },
    quantile(share) {
      let left = share * total;
      for (const [bucket, count] of buckets.entries()) {
        left -= count ?? 0;
        if (left <= 0 && total > 0) return 2 ** (bucket / 8) / 100;
      }
      return 0;
    },
  };
}

export const createStats = (): Stats => ({
  sent: 0,
  acknowledged: 0,
  rejected: new Map(),
  requests: 0,
  retried: new Map(),
  latency: createLatency(),
});

export const increment = (counts: Map<string, number>, name: string, by = 1): void =>
  void counts.set(name, (counts.get(name) ?? 0) + by);

export const sumOf = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((a, b) => a + b, 0);

const grouped = (n: number): string => n.toLocaleString('en-US');

/** `503: 12, lost: 3`, or `0`. */
const listed = (counts: ReadonlyMap<string, number>): string =>
  counts.size === 0 ? '0' : [...counts].map(([name, n]) => `${name}: ${grouped(n)}`).join(', ');

/** A function that makes the line of progress since its last call. */
export function progressLine(stats: Stats, startedAt: number): (pending: number) => string {
  let lastRequests = 0;
  let lastAt = startedAt;
  return (pending) => {
    const now = Date.now();
    const perSecond = ((stats.requests - lastRequests) * 1000) / Math.max(1, now - lastAt);
    lastRequests = stats.requests;
    lastAt = now;
    return [
      `${String(Math.round((now - startedAt) / 1000)).padStart(4)}s`,
      `sent ${grouped(stats.sent)}`,
      `acknowledged ${grouped(stats.acknowledged)}`,
      `rejected ${grouped(sumOf(stats.rejected))}`,
      `retried ${listed(stats.retried)}`,
      `${grouped(Math.round(perSecond))} requests/s`,
      `p50 ${stats.latency.quantile(0.5).toFixed(1)} ms`,
      `p99 ${stats.latency.quantile(0.99).toFixed(1)} ms`,
      `pending ${grouped(pending)}`,
    ].join('  ');
  };
}
