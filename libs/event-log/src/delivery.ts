import {
  AppError,
  backoffMs,
  describeError,
  type Logger,
  type Metrics,
  sleep,
  traced,
  traceHeader,
  unavailable,
} from '@worktide/runtime';
import { createRecordBuffer } from './buffer.ts';
import { createConsumerMetrics } from './consumer-metrics.ts';
import type { Letter } from './dead-letters.ts';
import { settle } from './narrow.ts';
import { messaging } from './producer.ts';
import { createSenders } from './senders.ts';
import { createSignal } from './signal.ts';
import type { ConsumeOptions, Consumer, ConsumerState, LogRecord, StoredRecord } from './types.ts';
import { createLetterWriter } from './write-letters.ts';

/** What an adapter does for a consumer. */
export interface Source {
  /** Stores the offsets of the next records to read; rejects when that is not certain. */
  commit(offsets: PartitionOffset[]): Promise<void>;
  lag(): Promise<Record<string, number>>;
  writeDeadLetter(topic: string, record: LogRecord): Promise<void>;
  /** Whether membership is certain at the moment. */
  healthy(): boolean;
  /** Ends fetching and leaves the group. */
  leave(): Promise<void>;
}

export interface PartitionOffset {
  topic: string;
  partition: number;
  offset: number;
}

/** The side that an adapter feeds. */
export interface Delivery {
  consumer: Consumer;
  /** False while the buffer is full, and from the last batch before the end on. */
  hasRoom(): boolean;
  /** Resolves when there may be room or the end has come, or after `ms`. */
  room(ms: number): Promise<void>;
  push(records: StoredRecord[]): void;
  /**
   * The group divided its partitions anew: everything not committed is dropped, to be fetched again by whoever has
   * the partition now. Answers the lowest offset dropped of each partition.
   */
  reassigned(): PartitionOffset[];
  /** The connection or the membership is gone, and the adapter is trying to get it back until `reassigned`. */
  lost(error: unknown): void;
  readonly ended: boolean;
}

interface Batch {
  records: StoredRecord[];
  /** Aborted when the partitions were divided anew after these records were fetched. */
  signal: AbortSignal;
}

const defaults = { maxRecords: 10_000, maxBytes: 4 * 1024 * 1024, lingerMs: 0 };
const defaultDeadLetterLimit = { count: 100, senders: 10, windowMs: 60_000 };
const lagEveryMs = 10_000;

/**
 * Takes what an adapter fetches and hands it to `handle`, one batch at a time: retries, dead letters, commit,
 * pause and close, alike for every adapter. Fetching goes on meanwhile until two batches' bytes wait.
 */
export function createDelivery(
  options: ConsumeOptions,
  source: Source,
  environment: { log: Logger; metrics: Metrics },
): Delivery {
  const { maxRecords, maxBytes, lingerMs } = { ...defaults, ...options };
  checkOptions(options, { maxRecords, maxBytes, lingerMs });
  const log = environment.log.child({ group: options.group });
  const metrics = createConsumerMetrics(environment.metrics, options.group);
  const limit = options.deadLetterLimit ?? defaultDeadLetterLimit;
  const senders = createSenders(limit);
  const writeLetters = createLetterWriter({
    group: options.group,
    senders,
    write: source.writeDeadLetter,
    onFailure: (error) => setTrouble({ kind: 'batch', error }),
    log,
    metrics,
  });
  const buffer = createRecordBuffer();
  const work = createSignal();
  const room = createSignal();
  const closing = new AbortController();
  let membership = new AbortController();
  let running: Batch | undefined;
  let joined = false;
  let paused = false;
  let held = false;
  let ended = false;
  let trouble: { kind: 'batch' | 'log'; error: unknown } | undefined;

  function state(): ConsumerState {
    if (held || ended) return 'stopped';
    if (paused) return 'paused';
    if (trouble) return 'retrying';
    if (!joined) return 'starting';
    return source.healthy() ? 'running' : 'retrying';
  }

  function setTrouble(next: typeof trouble): void {
    trouble = next;
    metrics.state(state());
  }

  async function nextBatch(): Promise<Batch | undefined> {
    while (!closing.signal.aborted) {
      const blocked = paused || buffer.count === 0;
      const wait = buffer.since + lingerMs - performance.now();
      if (!blocked && (wait <= 0 || buffer.count >= maxRecords || buffer.bytes >= maxBytes)) {
        const records = buffer.take(maxRecords, maxBytes);
        room.notify();
        return { records, signal: membership.signal };
      }
      await (blocked ? work.wait() : work.wait(Math.ceil(wait)));
    }
    return undefined;
  }

  /** Whether there is no point in another attempt: the batch has gone to another member, or the consumer closes. */
  const isOver = (batch: Batch): boolean => batch.signal.aborted || closing.signal.aborted;
  const overSignal = (batch: Batch): AbortSignal => AbortSignal.any([batch.signal, closing.signal]);
  const backoff = (attempt: number, batch: Batch): Promise<void> => sleep(backoffMs(attempt), overSignal(batch));

  function onFailure(error: unknown, records: number, attempt: number): void {
    metrics.failed();
    setTrouble({ kind: 'batch', error });
    log.warn({ err: error, attempt, records }, `handling failed: ${describeError(error)}`);
  }

  async function becomeReady(batch: Batch): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await options.ready?.();
        return;
      } catch (error) {
        onFailure(error, batch.records.length, attempt);
        await backoff(attempt, batch);
        if (isOver(batch)) return;
      }
    }
  }

  /** Goes on with the traces that its records are of. */
  const handleTraced: ConsumeOptions['handle'] = (records, context) =>
    traced(
      () => ({
        name: `process ${records[0]!.topic}`,
        kind: 'consumer',
        attributes: {
          ...messaging(records[0]!.topic),
          'messaging.consumer.group.name': options.group,
          'messaging.batch.message_count': records.length,
        },
        traceparents: new Map(
          records.flatMap(({ key, headers }) =>
            headers[traceHeader] === undefined ? [] : [[key, headers[traceHeader]]],
          ),
        ),
      }),
      () => options.handle(records, context),
    );

  /** Handles a batch and puts aside what cannot be. Whether it is done with, so that it may be committed. */
  async function handle(batch: Batch): Promise<boolean> {
    for (;;) {
      await becomeReady(batch);
      if (batch.signal.aborted) return false;
      const settled = await settle(batch.records, {
        ...options,
        handle: handleTraced,
        senders,
        signal: batch.signal,
        isOver: () => isOver(batch),
        backoff: (attempt) => backoff(attempt, batch),
        onHandled: metrics.handled,
        onFailure,
      });
      if (settled === 'over' || batch.signal.aborted) return false;
      if (settled !== 'too many') {
        senders.handled(settled.good);
        const written = await writeLetters(settled.letters, () => isOver(batch));
        return written && (await tellOf(settled.letters, batch)) && !batch.signal.aborted;
      }
      await hold(batch);
      if (isOver(batch)) return false;
    }
  }

  /** Tells of whole records that were put aside. Whether all is told that can be. */
  async function tellOf(letters: readonly Letter[], batch: Batch): Promise<boolean> {
    const { deadLettered } = options;
    for (const { record, reason } of deadLettered ? letters.filter(({ value }) => value === undefined) : []) {
      for (let attempt = 0; ; attempt++) {
        try {
          await deadLettered!(record, reason);
          break;
        } catch (error) {
          onFailure(error, 1, attempt);
          if (!(error instanceof AppError) || error.statusCode !== 503) break;
          await backoff(attempt, batch);
          if (isOver(batch)) return false;
        }
      }
    }
    return true;
  }

  /**
   * Stops before a batch: nothing of it is dead-lettered or committed. Looks again when what was counted is forgotten, as
   * after a restart: perhaps what was wrong was not here, and is mended.
   */
  async function hold(batch: Batch): Promise<void> {
    held = true;
    metrics.state(state());
    log.error('records of too many senders cannot be processed: the consumer stops before them; mend the cause');
    await sleep(limit.windowMs, overSignal(batch));
    held = false;
    metrics.state(state());
  }

  async function commit(batch: Batch): Promise<void> {
    const offsets = nextOffsets(batch.records);
    for (let attempt = 0; !batch.signal.aborted; attempt++) {
      try {
        await source.commit(offsets);
        metrics.consumed(batch.records);
        return;
      } catch (error) {
        if (isOver(batch)) break;
        setTrouble({ kind: 'batch', error });
        log.warn({ err: error, attempt }, 'commit failed, trying again');
        await backoff(attempt, batch);
      }
    }
    log.info({ records: batch.records.length }, 'batch not committed, it will be delivered again');
  }

  async function loop(): Promise<void> {
    for (let batch = await nextBatch(); batch; batch = await nextBatch()) {
      running = batch;
      if (await handle(batch)) await commit(batch);
      running = undefined;
      if (trouble?.kind === 'batch') setTrouble(undefined);
    }
  }

  const looping = loop();
  const lagTimer = setInterval(() => {
    metrics.state(state());
    metrics.setAside(senders.setAside);
    source.lag().then(metrics.lag, (err) => log.debug({ err }, 'lag unknown'));
  }, lagEveryMs).unref();
  metrics.state(state());
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    closing.abort();
    work.notify();
    await looping;
    ended = true;
    clearInterval(lagTimer);
    room.notify();
    await source.leave();
    metrics.state(state());
  }

  const consumer: Consumer = {
    pause() {
      paused = true;
      metrics.state(state());
    },
    resume() {
      paused = false;
      metrics.state(state());
      work.notify();
    },
    get state() {
      return state();
    },
    async lag() {
      return Object.values(await source.lag()).reduce((sum, value) => sum + value, 0);
    },
    check() {
      const now = state();
      if (now !== 'running' && now !== 'paused')
        throw unavailable(`consumer ${options.group} is ${now}`, trouble?.error);
    },
    close() {
      closed ??= close();
      return closed;
    },
  };

  return {
    consumer,
    hasRoom: () => !ended && buffer.bytes < 2 * maxBytes,
    room: (ms) => (ended ? Promise.resolve() : room.wait(ms)),
    push(records) {
      buffer.push(records);
      work.notify();
    },
    reassigned() {
      membership.abort();
      membership = new AbortController();
      joined = true;
      const dropped = [...(running?.records ?? []), ...buffer.clear()];
      setTrouble(undefined);
      room.notify();
      return lowestOffsets(dropped);
    },
    lost(error) {
      setTrouble({ kind: 'log', error });
    },
    get ended() {
      return ended;
    },
  };
}

function checkOptions(options: ConsumeOptions, limits: typeof defaults): void {
  if (options.group === '' || options.topics.length === 0) throw new RangeError('a consumer needs a group and topics');
  const { maxRecords, maxBytes, lingerMs } = limits;
  if (!(maxRecords >= 1) || !(maxBytes >= 1) || !(lingerMs >= 0)) {
    throw new RangeError('maxRecords and maxBytes are at least 1, lingerMs at least 0');
  }
}

/** Of each partition the offset after its last record. Records of a partition come in order. */
function nextOffsets(records: StoredRecord[]): PartitionOffset[] {
  const last = new Map<string, PartitionOffset>();
  for (let i = 0; i < records.length; i++) {
    const { topic, partition, offset } = records[i]!;
    // Most have their successor next to them: a key for each run of a partition, not for each record.
    const next = records[i + 1];
    if (next?.partition === partition && next.topic === topic) continue;
    last.set(`${topic}/${partition}`, { topic, partition, offset: offset + 1 });
  }
  return [...last.values()];
}

/** Of each partition its first record's offset. */
function lowestOffsets(records: StoredRecord[]): PartitionOffset[] {
  const first = new Map<string, PartitionOffset>();
  for (const { topic, partition, offset } of records) {
    const id = `${topic}/${partition}`;
    if (!first.has(id)) first.set(id, { topic, partition, offset });
  }
  return [...first.values()];
}
