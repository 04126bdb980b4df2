import { AppError, unavailable } from '@worktide/runtime';
import { createTurnQueue } from './turn-queue.ts';
import type { LogRecord } from './types.ts';

/** The largest record, with key and headers: a broker's default `message.max.bytes` is 1,048,588 for a whole batch. */
export const defaultMaxRecordBytes = 900 * 1024;
/**
 * The most that goes out in one send, all partitions together, so that no partition's part can exceed what the
 * broker takes, wherever the keys fall; `recordBytes` counts the wire format's overhead in.
 */
export const maxSendBytes = 1_000_000;
export const defaultMaxQueuedBytes = 64 * 1024 * 1024;

/** Records of one topic within a send. */
export interface TopicRecords {
  topic: string;
  records: LogRecord[];
}

export interface AccumulatorOptions {
  /** Makes the records durable, all or an error. */
  transmit: (batch: TopicRecords[]) => Promise<void>;
  maxQueuedBytes: number;
  /** At most `maxSendBytes`. */
  maxRecordBytes: number;
  /** How long callers wait for one transmission before they are told that the log is away. */
  deadlineMs: number;
  /** Told of every change of the bytes held. */
  onBytes: (delta: number) => void;
}

export interface Accumulator {
  send(topic: string, records: LogRecord[], subject?: string): Promise<void>;
  readonly queuedBytes: number;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Sends between two flushes. */
interface Era {
  unsettled: number;
  /** Called when none is left; there once a flush waits for it. */
  over?: () => void;
}

interface Entry extends TopicRecords {
  bytes: number;
  era: Era;
  settled: boolean;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Batches by what arrives: one transmission is in flight, what queues meanwhile is the next one. No linger, so an
 * idle log answers at once and a busy one in large batches. Where more waits than one transmission takes, subjects take
 * turns, so that nobody waits behind all that somebody else has sent.
 *
 * When a transmission fails or is past its deadline, everything queued is refused with it: the log is away, and a
 * caller that is told now can come back, while one kept behind a queue of failing sends cannot. Past the deadline new
 * records are refused at once until that transmission has settled, which makes it the probe for the log's return.
 */
export function createAccumulator(options: AccumulatorOptions): Accumulator {
  const { transmit, maxQueuedBytes, maxRecordBytes, deadlineMs, onBytes } = options;
  const queue = createTurnQueue<Entry>();
  let queuedBytes = 0;
  let pumping = false;
  let overdue: AppError | undefined;
  let closed = false;
  let era: Era = { unsettled: 0 };
  /** What was sent before the last flush. */
  let earlier: Promise<unknown> = Promise.resolve();

  function hold(delta: number): void {
    queuedBytes += delta;
    onBytes(delta);
  }

  function send(topic: string, records: LogRecord[], subject = ''): Promise<void> {
    if (closed) return Promise.reject(unavailable('event log', new Error('the producer is closed')));
    if (overdue) return Promise.reject(overdue);
    if (records.length === 0) return Promise.resolve();
    const parts: (TopicRecords & { bytes: number })[] = [];
    let total = 0;
    let part: (TopicRecords & { bytes: number }) | undefined;
    for (const record of records) {
      const bytes = recordBytes(record);
      if (bytes > maxRecordBytes) return Promise.reject(tooLarge(bytes, maxRecordBytes));
      if (!part || part.bytes + bytes > maxSendBytes) {
        part = { topic, records: [], bytes: 0 };
        parts.push(part);
      }
      part.records.push(record);
      part.bytes += bytes;
      total += bytes;
    }
    if (queuedBytes + total > maxQueuedBytes) return Promise.reject(queueFull());
    hold(total);
    const mine = era;
    mine.unsettled += parts.length;
    const sent = parts.map(
      (one) =>
        new Promise<void>((resolve, reject) => {
          queue.push(subject, { ...one, era: mine, settled: false, resolve, reject });
        }),
    );
    if (!pumping) {
      pumping = true;
      // After this turn of the event loop, so that requests that arrived together go out together.
      setImmediate(pump);
    }
    return sent.length === 1 ? sent[0]! : Promise.all(sent).then(() => undefined);
  }

  async function pump(): Promise<void> {
    while (queue.length > 0) await deliver(queue.take(maxSendBytes));
    pumping = false;
  }

  async function deliver(entries: Entry[]): Promise<void> {
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    const timer = setTimeout(() => {
      overdue = unavailable('event log', new Error(`not acknowledged within ${deadlineMs} ms`));
      refuse(entries, overdue);
      refuseQueue(overdue);
    }, deadlineMs);
    try {
      await transmit(byTopic(entries));
      for (const entry of entries) {
        entry.resolve();
        settle(entry);
      }
    } catch (error) {
      // A log that is full says so itself.
      const away = error instanceof AppError && error.statusCode === 503 ? error : unavailable('event log', error);
      refuse(entries, away);
      refuseQueue(away);
    } finally {
      clearTimeout(timer);
      overdue = undefined;
      hold(-bytes);
    }
  }

  function refuse(entries: Entry[], error: AppError): void {
    for (const entry of entries) {
      entry.reject(error);
      settle(entry);
    }
  }

  /** Again is harmless: what is past its deadline is refused before its transmission has ended. */
  function settle(entry: Entry): void {
    if (entry.settled) return;
    entry.settled = true;
    if (--entry.era.unsettled === 0) entry.era.over?.();
  }

  function refuseQueue(error: AppError): void {
    const refused = queue.clear();
    hold(-refused.reduce((sum, entry) => sum + entry.bytes, 0));
    refuse(refused, error);
  }

  async function flush(): Promise<void> {
    const before = era;
    era = { unsettled: 0 };
    const over = new Promise<void>((resolve) => {
      before.over = resolve;
      if (before.unsettled === 0) resolve();
    });
    const all = Promise.all([earlier, over]);
    earlier = all;
    await all;
  }

  return {
    send,
    get queuedBytes() {
      return queuedBytes;
    },
    flush,
    close() {
      closed = true;
      return flush();
    },
  };
}

/**
 * An upper bound of a record's size on the wire (Kafka record format v2: eight varints of at most 36 bytes together,
 * two more of 10 bytes a header), so that limits in bytes hold for small records too.
 */
function recordBytes(record: LogRecord): number {
  // Three bytes is the most that UTF-8 needs for one UTF-16 unit: a bound without a pass over the key.
  let bytes = 36 + record.key.length * 3 + record.value.length;
  if (record.headers) {
    for (const name in record.headers) bytes += 10 + (name.length + record.headers[name]!.length) * 3;
  }
  return bytes;
}

function byTopic(entries: Entry[]): TopicRecords[] {
  const topics = new Map<string, LogRecord[]>();
  for (const { topic, records } of entries) {
    const all = topics.get(topic);
    if (all) for (const record of records) all.push(record);
    else topics.set(topic, records.slice());
  }
  return [...topics].map(([topic, records]) => ({ topic, records }));
}

const tooLarge = (bytes: number, limit: number): AppError =>
  new AppError('RECORD_TOO_LARGE', 'A record is larger than the log takes.', {
    statusCode: 413,
    cause: new Error(`${bytes} bytes, at most ${limit}`),
  });

const queueFull = (): AppError =>
  new AppError('QUEUE_FULL', 'Too much is waiting to be written; try again shortly.', {
    statusCode: 503,
    retryAfterSeconds: 1,
  });
