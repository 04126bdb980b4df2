import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

/**
 * A registry whose getters make a metric on first use and return the same one after, so that several
 * services can share one process (standalone) without a clash of names.
 */
export interface Metrics {
  counter<L extends string>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  gauge<L extends string>(name: string, help: string, labels?: readonly L[]): Gauge<L>;
  histogram<L extends string>(name: string, help: string, buckets: number[], labels?: readonly L[]): Histogram<L>;
  /** A gauge that is read when it is asked for; what several give under one name and with the same labels is added up. */
  observed(name: string, help: string, read: () => number, labels?: Readonly<Record<string, string>>): void;
  /** Prometheus text exposition. */
  render(): Promise<{ contentType: string; text: string }>;
}

/** @param processMetrics also collect CPU, memory, event-loop lag and GC of this process. */
export function createMetrics(options: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const once = <T>(name: string, make: () => T): T => (registry.getSingleMetric(name) as T | undefined) ?? make();
  const observations = new Map<string, { labels: Readonly<Record<string, string>>; read: () => number }[]>();
  return {
    observed(name, help, read, labels = {}) {
      const all = observations.get(name);
      if (all) return void all.push({ labels, read });
      const own = [{ labels, read }];
      observations.set(name, own);
      new Gauge({
        name,
        help,
        labelNames: Object.keys(labels),
        registers: [registry],
        collect() {
          this.reset();
          for (const one of own) this.inc(one.labels, one.read());
        },
      });
    },
    counter: (name, help, labels = []) =>
      once(name, () => new Counter({ name, help, labelNames: [...labels], registers: [registry] })),
    gauge: (name, help, labels = []) =>
      once(name, () => new Gauge({ name, help, labelNames: [...labels], registers: [registry] })),
    histogram: (name, help, buckets, labels = []) =>
      once(name, () => new Histogram({ name, help, buckets, labelNames: [...labels], registers: [registry] })),
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
