import { afterEach } from '@jest/globals';
import { createMetrics, type Metrics, silentLogger, uuidv7 } from '@worktide/runtime';
import { openEventLog } from '../open.ts';
import type {
  BatchContext,
  ConsumeOptions,
  Consumer,
  EventLog,
  LogRecord,
  OpenOptions,
  StoredRecord,
} from '../types.ts';

export const day = 24 * 3_600_000;
export const partitions = 4;

export interface Opened {
  log: EventLog;
  metrics: Metrics;
  /** Another opening of the same log, as another process would have it. */
  again(options?: Partial<OpenOptions>): EventLog;
  /** Before the names of topics and groups. */
  prefix: string;
}

/** Opens logs of its own names for each test, and closes them after it. */
export function logFixture(url: () => Promise<string>): () => Promise<Opened> {
  const opened: EventLog[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((log) => log.close()));
  });
  return async () => {
    const base = await url();
    const prefix = `${uuidv7().slice(-12)}-`;
    const metrics = createMetrics();
    const again = (options: Partial<OpenOptions> = {}): EventLog => {
      const usual = { clientId: 'contract', log: silentLogger(), metrics };
      const log = openEventLog(`${base}?prefix=${prefix}`, { ...usual, ...options });
      opened.push(log);
      return log;
    };
    const log = again();
    await log.admin.ensureTopics([
      { name: 'events', partitions, retentionMs: day },
      { name: 'events.dead', partitions: 1, retentionMs: day },
    ]);
    return { log, metrics, again, prefix };
  };
}

export const record = (key: string, text: string, headers?: Record<string, string>): LogRecord => ({
  key,
  value: Buffer.from(text),
  ...(headers ? { headers } : {}),
});
/** Records `0 … count-1` spread over ten keys. */
export const numbered = (count: number, from = 0): LogRecord[] =>
  Array.from({ length: count }, (_, i) => record(`user-${(from + i) % 10}`, String(from + i)));
export const texts = (records: StoredRecord[]): string[] => records.map(({ value }) => value.toString());
export const sorted = (values: string[]): number[] => values.map(Number).sort((a, b) => a - b);
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export interface Collector {
  records: StoredRecord[];
  batches: StoredRecord[][];
  consumer: Consumer;
}

export async function collect(
  log: EventLog,
  options: Partial<ConsumeOptions> = {},
  before: (batch: StoredRecord[], context: BatchContext) => Promise<void> | void = () => {},
): Promise<Collector> {
  const records: StoredRecord[] = [];
  const batches: StoredRecord[][] = [];
  const consumer = await log.consume({
    group: 'group',
    topics: ['events'],
    ...options,
    async handle(batch, context) {
      await before(batch, context);
      batches.push(batch);
      records.push(...batch);
    },
  });
  return { records, batches, consumer };
}

/** A handler that waits until it is let go; `entered` resolves when it was first called. */
export function gate(): { wait: () => Promise<void>; entered: Promise<void>; open: () => void } {
  const entered = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    wait: () => {
      entered.resolve();
      return opened.promise;
    },
    entered: entered.promise,
    open: opened.resolve,
  };
}
