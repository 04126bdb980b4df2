import type { BatchContext, Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import { checkPostgres } from '@worktide/postgres';
import type { Lifecycle, Logger, Metrics } from '@worktide/runtime';
import { type Codec, splitBy, topics } from '@worktide/schemas';
import { type MergeOptions, type MergeOutcome, mergePieces } from '../store/merge.ts';
import { type BadRecord, decodeRecords } from './decode.ts';
import { groupByUser, slices } from './slices.ts';

export const group = 'session-writer';

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

/** Follows topic `pings` for ever. Offsets are committed after the database has what the records say. */
export function consumePings(options: PingsOptions): Promise<Consumer> {
  const handle = createHandler(options);
  return options.eventLog.consume({
    group,
    topics: [topics.pings.name],
    maxBytes,
    maxRecords,
    lingerMs,
    ready: () => Promise.all([options.pingsCodec.prepare(), options.usageCodec.prepare()]),
    answers: checkPostgres(options.pool),
    handle,
    split: splitBy('pings'),
  });
}

/**
 * One batch: decode, fold and store in transactions side by side, and name what can never succeed. A failure at any
 * point leaves whole transactions behind and no offset: everything comes again and changes only what is missing.
 */
export function createHandler(options: PingsOptions) {
  const { parallel, lifecycle, pingsCodec } = options;
  const observe = pingMetrics(options.metrics);

  async function mergeGroup(records: StoredRecord[], bad: BadRecord[]): Promise<void> {
    const decoded = decodeRecords(records, { codec: pingsCodec, horizon: options.partitions.horizon });
    bad.push(...decoded.bad);
    let published: Promise<void> = Promise.resolve();
    for (const slice of slices(decoded.streams)) {
      let end = observe.seconds.startTimer();
      for await (const outcome of mergePieces(options, slice)) {
        end();
        observe.outcome(outcome);
        // The log's pressure is felt one transaction later, so that it is not waited for while there is work.
        await published;
        published = untilAborted(outcome.published, lifecycle.signal);
        end = observe.seconds.startTimer();
      }
      observe.merged(slice.reduce((sum, { pings }) => sum + pings.length, 0));
    }
    await published;
  }

  return async function handle(batch: StoredRecord[], context: BatchContext): Promise<void> {
    const groups = groupByUser(batch, bytesPerGroup);
    const bad: BadRecord[] = [];
    let failed = false;
    const worker = async (): Promise<void> => {
      for (let next = groups.pop(); next && !failed; next = groups.pop()) {
        try {
          await mergeGroup(next, bad);
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: parallel }, worker));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) throw failure.reason;
    // In the order of the topic, whichever group was done first: a retry meets the same ones again.
    bad.sort((a, b) => a.record.partition - b.record.partition || a.record.offset - b.record.offset);
    for (const { record, reason, value } of bad) {
      context.deadLetter(record, reason, value);
      observe.bad.inc({ code: reason.code });
    }
  };
}

/** Resolves when the events are in the log, or when the process closes: then they stand in the outbox. */
async function untilAborted(published: Promise<void>, signal: AbortSignal): Promise<void> {
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
    merged: (pings: number): void => merged.inc(pings),
    outcome(outcome: MergeOutcome): void {
      letGo.inc(outcome.letGo);
      for (const change of ['added', 'changed', 'removed'] as const) entries.inc({ change }, outcome[change]);
    },
  };
}
