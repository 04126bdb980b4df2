import type { ConsumeOptions, Consumer, EventLog, Producer, StoredRecord } from '@worktide/event-log';
import { checkPostgres } from '@worktide/postgres';
import type { Lifecycle, Logger, Metrics } from '@worktide/runtime';
import { type Codec, splitBy, topics } from '@worktide/schemas';
import { type Allowance, type Costs, createCosts, type SlowLane } from '../costs.ts';
import { type BadRecord, sideBySide } from '../side-by-side.ts';
import { type MergeOptions, type MergeOutcome, mergePieces } from '../store/merge.ts';
import type { StreamIdentity } from '../store/streams.ts';
import { decodeRecords } from './decode.ts';
import { groupByUser, slices } from './slices.ts';

export const group = 'session-writer';
export const slowGroup = 'session-writer-slow';

/**
 * Handed over in as much as this when there is a backlog: some 50,000 pings. The
 * more of a stream come together, the fewer times its newest entry is written; only a few groups are decoded at once.
 */
const maxBytes = 12 * 1024 * 1024;
/** A fleet's pings trickle in one by one: ten transactions a second instead of one for each. */
const lingerMs = 100;
const maxRecords = 30_000;
/** About 10,000 pings: a transaction of some tens of milliseconds. */
const bytesPerGroup = 2 * 1024 * 1024;
/** Of what is slow, some hundred pings at once: the end of a batch is where whoever closes is waited for. */
const slowBytes = 64 * 1024;

/**
 * Rows that merging reads beside what ordinary pings meet. Of these an organisation has so many at once, about a fifth
 * of a second of one transaction after the other, and so many more each second.
 */
const allowedRows: Allowance = { atOnce: 20_000, perSecond: 2_000 };
/** A ping meets the entry before it and the one behind it; one of some seconds that comes late, a few more. */
const rowsPerPing = 16;

export interface PingsOptions extends MergeOptions {
  eventLog: EventLog;
  /** Of topic `pings`. */
  pingsCodec: Codec;
  /** Transactions side by side: while the database works on one, this process decodes and folds for the next. */
  parallel: number;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}

/**
 * Follows topic `pings` for ever, and beside it `pings-slow`. Offsets are committed after the database has what the
 * records say, or the other topic has them.
 */
export async function consumePings(options: PingsOptions): Promise<Consumer[]> {
  const { eventLog, pool, pingsCodec, usageCodec } = options;
  const common = {
    lingerMs,
    ready: () => Promise.all([pingsCodec.prepare(), usageCodec.prepare()]),
    answers: checkPostgres(pool),
    split: splitBy('pings'),
  } satisfies Partial<ConsumeOptions>;
  const lane = { costs: createCosts(allowedRows), producer: eventLog.producer() };
  const observe = pingMetrics(options.metrics);
  return [
    await eventLog.consume({
      ...common,
      group,
      topics: [topics.pings.name],
      maxBytes,
      maxRecords,
      handle: createHandler(options, lane, observe),
    }),
    await eventLog.consume({
      ...common,
      group: slowGroup,
      topics: [topics['pings-slow'].name],
      maxBytes: slowBytes,
      handle: createHandler({ ...options, parallel: 1 }, undefined, observe),
    }),
  ];
}

/**
 * One batch: decode, fold and store in transactions side by side, and name what can never succeed. A failure at any
 * point leaves whole transactions behind and no offset: everything comes again and changes only what is missing.
 * @param lane where an organisation's records go that cost more than their number lets expect, so that nobody else's wait
 * for them. Without one, everything is merged here, however long that takes.
 */
export function createHandler(options: PingsOptions, lane?: SlowLane, observe = pingMetrics(options.metrics)) {
  const { parallel, lifecycle, pingsCodec, log } = options;

  async function mergeGroup(records: StoredRecord[], bad: BadRecord[]): Promise<void> {
    const decoded = decodeRecords(records, { codec: pingsCodec, horizon: options.partitions.horizon });
    bad.push(...decoded.bad);
    const left = new Set<StreamIdentity>();
    const merge: MergeOptions = lane ? { ...options, ...watching(lane.costs, left) } : options;
    let published: Promise<void> = Promise.resolve();
    for (const slice of slices(decoded.streams)) {
      let end = observe.seconds.startTimer();
      for await (const outcome of mergePieces(merge, slice)) {
        end();
        observe.outcome(outcome);
        // The log's pressure is felt one transaction later, so that it is not waited for while there is work.
        await published;
        published = untilAborted(outcome.published, lifecycle.signal);
        // There may be minutes of work in a batch: what is left of it comes again, wherever it goes on.
        if (!lane) lifecycle.signal.throwIfAborted();
        end = observe.seconds.startTimer();
      }
      observe.merged(slice.reduce((sum, { stream, pings }) => sum + (left.has(stream) ? 0 : pings.length), 0));
    }
    await published;
    if (lane && left.size > 0) await hand(lane.producer, decoded.recordsOf, left);
  }

  const watching = (costs: Costs, left: Set<StreamIdentity>): Pick<MergeOptions, 'onRead' | 'leavesOut'> => ({
    onRead({ organizationId }, rows, pings) {
      if (!costs.charge(organizationId, rows - rowsPerPing * pings)) return;
      log.warn({ organizationId }, 'its pings lie over so many entries that they are merged apart from now on');
    },
    leavesOut(stream) {
      if (!costs.isSlow(stream.organizationId)) return false;
      left.add(stream);
      return true;
    },
  });

  /** Whole records, whatever of them is merged already: that changes nothing. */
  async function hand(
    producer: Producer,
    recordsOf: ReadonlyMap<StreamIdentity, StoredRecord[]>,
    left: ReadonlySet<StreamIdentity>,
  ): Promise<void> {
    const byOrganization = Map.groupBy(left, ({ organizationId }) => organizationId);
    for (const [organizationId, streams] of byOrganization) {
      const records = new Set(streams.flatMap((stream) => recordsOf.get(stream)!));
      const copies = [...records].map(({ key, value, headers }) => ({ key, value, headers }));
      await producer.send(topics['pings-slow'].name, copies, organizationId);
      observe.slow.inc(copies.length);
    }
  }

  return sideBySide({
    groupsOf: (batch) => groupByUser(batch, bytesPerGroup),
    parallel,
    refused: observe.bad,
    work: mergeGroup,
  });
}

/** Resolves when the events are in the log, or when the process closes: then they stand in the outbox. */
export async function untilAborted(published: Promise<void>, signal: AbortSignal): Promise<void> {
  const done = published.catch(() => {});
  if (signal.aborted) return;
  let abort = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    abort = resolve;
  });
  signal.addEventListener('abort', abort, { once: true });
  await Promise.race([done, aborted]);
  signal.removeEventListener('abort', abort);
}

function pingMetrics(metrics: Metrics) {
  const merged = metrics.counter('worktide_writer_pings_merged_total', 'Pings folded into entries');
  const letGo = metrics.counter('worktide_writer_pings_let_go_total', 'Pings of months that retention has dropped');
  const entries = metrics.counter('worktide_writer_entries_total', 'Entries written', ['change']);
  return {
    bad: metrics.counter('worktide_writer_pings_refused_total', 'Dead-lettered records and pings', ['code']),
    seconds: metrics.histogram(
      'worktide_writer_transaction_seconds',
      'Time of one transaction, with waiting for locks and retries',
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    ),
    slow: metrics.counter('worktide_writer_slow_records_total', 'Records handed to topic pings-slow'),
    merged: (pings: number): void => merged.inc(pings),
    outcome(outcome: MergeOutcome): void {
      letGo.inc(outcome.letGo);
      for (const change of ['added', 'changed', 'removed'] as const) entries.inc({ change }, outcome[change]);
    },
  };
}
