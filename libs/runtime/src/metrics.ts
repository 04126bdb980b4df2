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
  /** Called before each rendering: sets a gauge of what changes too often to tell it every time. */
  beforeRender(set: () => void): void;
  /** Prometheus text exposition. */
  render(): Promise<{ contentType: string; text: string }>;
}

/** @param processMetrics also collect CPU, memory, event-loop lag and GC of this process. */
export function createMetrics(options: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const setters: (() => void)[] = [];
  const once = <T>(name: string, make: () => T): T => (registry.getSingleMetric(name) as T | undefined) ?? make();
  return {
    counter: (name, help, labels = []) =>
      once(name, () => new Counter({ name, help, labelNames: [...labels], registers: [registry] })),
    gauge: (name, help, labels = []) =>
      once(name, () => new Gauge({ name, help, labelNames: [...labels], registers: [registry] })),
    histogram: (name, help, buckets, labels = []) =>
      once(name, () => new Histogram({ name, help, buckets, labelNames: [...labels], registers: [registry] })),
    beforeRender: (set) => void setters.push(set),
    async render() {
      for (const set of setters) set();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
