import { createAccumulator, defaultMaxQueuedBytes, defaultMaxRecordBytes, type TopicRecords } from './accumulator.ts';
import type { OpenOptions, Producer, ProducerOptions } from './types.ts';

/**
 * How long a caller of `send` waits at most for one transmission: longer than a broker's restart or a change of
 * leader (4–9 s), shorter than the timeouts of the HTTP clients that wait behind it.
 */
const deadlineMs = 10_000;

/** What an adapter gives: makes a batch durable, and lets go of its connections. */
export interface Transport {
  transmit(batch: TopicRecords[]): Promise<void>;
  close(): Promise<void>;
}

/** The accumulator and its metrics over an adapter's transport. */
export function createProducer(
  transport: Transport,
  open: OpenOptions,
  options: ProducerOptions & { maxRecordBytes?: number } = {},
): Producer {
  const labels = { client: open.clientId };
  const { metrics } = open;
  const queued = metrics.gauge('worktide_producer_queued_bytes', 'Bytes waiting or in flight to the log.', ['client']);
  const seconds = metrics.histogram(
    'worktide_producer_send_seconds',
    'From handing a batch to the log until it is durable.',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10],
    ['client'],
  );
  const records = metrics.counter('worktide_producer_records_total', 'Records made durable.', ['client', 'topic']);
  const failures = metrics.counter('worktide_producer_failures_total', 'Batches the log did not take.', ['client']);

  async function transmit(batch: TopicRecords[]): Promise<void> {
    const started = performance.now();
    try {
      await transport.transmit(batch);
    } catch (error) {
      failures.inc(labels);
      open.log.warn({ err: error }, 'the log did not take a batch');
      throw error;
    }
    seconds.observe(labels, (performance.now() - started) / 1000);
    for (const { topic, records: sent } of batch) records.inc({ ...labels, topic }, sent.length);
  }

  const accumulator = createAccumulator({
    transmit,
    maxQueuedBytes: options.maxQueuedBytes ?? defaultMaxQueuedBytes,
    maxRecordBytes: options.maxRecordBytes ?? defaultMaxRecordBytes,
    deadlineMs,
    onBytes: (delta) => queued.inc(labels, delta),
  });
  let closing: Promise<void> | undefined;
  return {
    send: accumulator.send,
    get queuedBytes() {
      return accumulator.queuedBytes;
    },
    flush: accumulator.flush,
    close() {
      closing ??= accumulator.close().then(() => transport.close());
      return closing;
    },
  };
}
