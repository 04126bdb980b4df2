import type { ConsumeOptions, Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import type { Identity } from '@worktide/identity';
import { checkPostgres } from '@worktide/postgres';
import type { Lifecycle, Logger, Metrics } from '@worktide/runtime';
import { type Codec, topics } from '@worktide/schemas';
import { type Allowance, createCosts, type SlowLane } from '../costs.ts';
import { type BadRecord, sideBySide } from '../side-by-side.ts';
import { keptFrom } from '../timers/retention.ts';
import { type ApplyDependencies, applyPart, buryPart } from './apply.ts';
import type { Arrivals } from './arrivals.ts';
import { readDeadPart, readPart } from './decode.ts';

export const syncGroup = 'session-writer-sync';
export const slowSyncGroup = 'session-writer-sync-slow';

/** Some records of some users, a second's work: what comes after them waits for all of them. */
const maxBytes = 1024 * 1024;

/** Of what is slow, a record or two at once. */
const slowBytes = 256 * 1024;
/**
 * Entries brought, and stored ones looked at for them: of these an organisation has so many at once, about a second of one
 * transaction after the other, and so many more each second.
 */
const allowedEntries: Allowance = { atOnce: 5_000, perSecond: 500 };

export interface SyncOptions extends ApplyDependencies {
  eventLog: EventLog;
  /** Of topic `time-entry-syncs`. */
  codec: Codec;
  identity: Pick<Identity, 'organization'>;
  arrivals: Arrivals;
  /** Transactions side by side, of different users. */
  parallel: number;
  /** Before an organisation’s are applied apart; see `allowedEntries`. */
  allowed?: Allowance;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}

/**
 * Follows topic `time-entry-syncs` for ever, and beside it `time-entry-syncs-slow`. Offsets are committed after the database
 * has entries and outcomes, or the other topic has the records.
 */
export async function consumeSyncs(options: SyncOptions): Promise<Consumer[]> {
  const { eventLog, pool, codec, entriesCodec, arrivals } = options;
  const common = {
    ready: () => Promise.all([codec.prepare(), entriesCodec.prepare()]),
    answers: checkPostgres(pool),
    // A record is not divided, as a part has one outcome; and that of a dead one is told,
    // or who asks what has become of its batch would be told for a day that it is on its way.
    async deadLettered(record, reason) {
      const part = readDeadPart(record, codec, reason);
      if (!part) return;
      await buryPart(pool, part);
      arrivals.committed(part.batchId);
    },
  } satisfies Partial<ConsumeOptions>;
  const lane = { costs: createCosts(options.allowed ?? allowedEntries), producer: eventLog.producer() };
  const observe = syncMetrics(options.metrics);
  return [
    await eventLog.consume({
      ...common,
      group: syncGroup,
      topics: [topics['time-entry-syncs'].name],
      maxBytes,
      handle: createSyncHandler(options, lane, observe),
    }),
    await eventLog.consume({
      ...common,
      group: slowSyncGroup,
      topics: [topics['time-entry-syncs-slow'].name],
      maxBytes: slowBytes,
      handle: createSyncHandler({ ...options, parallel: 1 }, undefined, observe),
    }),
  ];
}

const bytesOf = (records: readonly StoredRecord[]): number => records.reduce((sum, { value }) => sum + value.length, 0);

/**
 * One batch: records of a user in their order, one after the other; users side by side.
 * @param lane where an organisation's records go that brought much, so that nobody else's wait for them: in whichever order
 * they are applied, a key moves on and never back. Without one, everything is applied here, however long that takes.
 */
export function createSyncHandler(
  options: Omit<SyncOptions, 'eventLog'>,
  lane?: SlowLane,
  observe = syncMetrics(options.metrics),
) {
  const { codec, identity, arrivals, parallel, lifecycle, log, now = Date.now } = options;

  function charge({ organizationId }: { organizationId: string }, cost: number): void {
    if (!lane?.costs.charge(organizationId, cost)) return;
    log.info({ organizationId }, 'it brought much at once, which is applied apart from now on');
  }

  async function applyRecord(record: StoredRecord, bad: BadRecord[]): Promise<void> {
    const found: BadRecord[] = [];
    const part = readPart(record, codec, found);
    // What it brings counts before it is worked off: who has too much does not have all of it applied here first.
    if (part) charge(part, part.entries.length);
    if (part && lane?.costs.isSlow(part.organizationId)) {
      const { key, value, headers } = record;
      // What is bad of it is met there.
      await lane.producer.send(topics['time-entry-syncs-slow'].name, [{ key, value, headers }], part.organizationId);
      return observe.slow.inc();
    }
    bad.push(...found);
    if (!part) return;
    const settings = (await identity.organization(part.organizationId))?.settings;
    const policy = settings?.overlapPolicy ?? 'reject';
    const applied = await applyPart(options, part, { policy, keptFrom: keptFrom(settings, now()) });
    arrivals.committed(part.batchId);
    if (!applied) return;
    charge(part, applied.looked - part.entries.length);
    for (const { outcome } of applied.outcome.results) observe.results.inc({ outcome });
    await applied.published;
  }

  return sideBySide({
    // Taken from the end: who brought a week waits for those who brought a minute, and not they for them.
    groupsOf: (batch) => [...Map.groupBy(batch, ({ key }) => key).values()].sort((a, b) => bytesOf(b) - bytesOf(a)),
    parallel,
    refused: observe.refused,
    async work(records, bad) {
      for (const record of records) {
        lifecycle.signal.throwIfAborted();
        await applyRecord(record, bad);
      }
    },
  });
}

function syncMetrics(metrics: Metrics) {
  return {
    results: metrics.counter('worktide_writer_sync_entries_total', 'Offline entries, by what became of them', [
      'outcome',
    ]),
    refused: metrics.counter('worktide_writer_sync_refused_total', 'Dead-lettered records and entries', ['code']),
    slow: metrics.counter('worktide_writer_sync_slow_records_total', 'Records handed to topic time-entry-syncs-slow'),
  };
}
