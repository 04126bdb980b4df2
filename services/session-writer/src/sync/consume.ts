import type { Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import type { Identity } from '@worktide/identity';
import { checkPostgres } from '@worktide/postgres';
import type { Lifecycle, Metrics } from '@worktide/runtime';
import { type Codec, topics } from '@worktide/schemas';
import { type BadRecord, sideBySide } from '../side-by-side.ts';
import { type ApplyDependencies, applyPart } from './apply.ts';
import type { Arrivals } from './arrivals.ts';
import { readPart } from './decode.ts';

export const syncGroup = 'session-writer-sync';

/** Some records of some users, a second's work: what comes after them waits for all of them. */
const maxBytes = 1024 * 1024;

export interface SyncOptions extends ApplyDependencies {
  eventLog: EventLog;
  /** Of topic `time-entry-syncs`. */
  codec: Codec;
  identity: Pick<Identity, 'organization'>;
  arrivals: Arrivals;
  /** Transactions side by side, of different users. */
  parallel: number;
  lifecycle: Lifecycle;
  metrics: Metrics;
}

/** Follows topic `time-entry-syncs` for ever. Offsets are committed after the database has entries and outcomes. */
export function consumeSyncs(options: SyncOptions): Promise<Consumer> {
  const { eventLog, pool, codec, entriesCodec } = options;
  return eventLog.consume({
    group: syncGroup,
    topics: [topics['time-entry-syncs'].name],
    maxBytes,
    ready: () => Promise.all([codec.prepare(), entriesCodec.prepare()]),
    answers: checkPostgres(pool),
    // A record is not divided: a part has one outcome.
    handle: createSyncHandler(options),
  });
}

const bytesOf = (records: readonly StoredRecord[]): number => records.reduce((sum, { value }) => sum + value.length, 0);

/** One batch: records of a user in their order, one after the other; users side by side. */
export function createSyncHandler(options: Omit<SyncOptions, 'eventLog'>) {
  const { codec, identity, arrivals, parallel, lifecycle } = options;
  const { metrics } = options;
  const results = metrics.counter('worktide_writer_sync_entries_total', 'Offline entries, by what became of them', [
    'outcome',
  ]);
  const refused = metrics.counter('worktide_writer_sync_refused_total', 'Dead-lettered records and entries', ['code']);

  async function applyRecord(record: StoredRecord, bad: BadRecord[]): Promise<void> {
    const part = readPart(record, codec, bad);
    if (!part) return;
    const organization = await identity.organization(part.organizationId);
    const policy = organization?.settings.overlapPolicy ?? 'reject';
    const applied = await applyPart(options, part, policy);
    arrivals.committed(part.batchId);
    if (!applied) return;
    for (const { outcome } of applied.outcome.results) results.inc({ outcome });
    await applied.published;
  }

  return sideBySide({
    // Taken from the end: who brought a week waits for those who brought a minute, and not they for them.
    groupsOf: (batch) => [...Map.groupBy(batch, ({ key }) => key).values()].sort((a, b) => bytesOf(b) - bytesOf(a)),
    parallel,
    refused,
    async work(records, bad) {
      for (const record of records) {
        lifecycle.signal.throwIfAborted();
        await applyRecord(record, bad);
      }
    },
  });
}
