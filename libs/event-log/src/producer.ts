import { isTracing, traced, traceHeader, traceparentFor } from '@worktide/runtime';
import { createAccumulator, defaultMaxQueuedBytes, defaultMaxRecordBytes, type TopicRecords } from './accumulator.ts';
import type { LogRecord, OpenOptions, Producer, ProducerOptions } from './types.ts';

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
    send: (topic, records, subject) =>
      traced(
        () => ({
          name: `send ${topic}`,
          kind: 'producer',
          attributes: { ...messaging(topic), 'messaging.batch.message_count': records.length },
        }),
        () => accumulator.send(topic, withTraces(records), subject),
      ),
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

/** Each with the trace that goes on with it, where there is one and it does not have its own. */
function withTraces(records: LogRecord[]): LogRecord[] {
  if (!isTracing()) return records;
  let traces = false;
  const all = records.map((record) => {
    if (record.headers?.[traceHeader] !== undefined) return record;
    const traceparent = traceparentFor(record.key);
    if (traceparent === undefined) return record;
    traces = true;
    return { ...record, headers: { ...record.headers, [traceHeader]: traceparent } };
  });
  return traces ? all : records;
}

/** What is said of a topic in a span. */
export const messaging = (topic: string): Record<string, string> => ({
  'messaging.system': 'kafka',
  'messaging.destination.name': topic,
});
