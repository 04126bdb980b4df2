import type { BatchContext, Consumer, DeadLetterReason, EventLog, StoredRecord } from '@worktide/event-log';
import type { Identity } from '@worktide/identity';
import { checkPostgres } from '@worktide/postgres';
import { AppError, isStorable, type Lifecycle, type Metrics } from '@worktide/runtime';
import { type Codec, type SyncEntryEvent, syncEntryEvent, timeEntrySyncEnvelope, topics } from '@worktide/schemas';
import { groupByUser } from '../pings/slices.ts';
import { type ApplyDependencies, applyPart, type Part } from './apply.ts';
import type { Arrivals } from './arrivals.ts';

export const syncGroup = 'session-writer-sync';

/** Some records of some users: each is a transaction or some. */
const maxBytes = 4 * 1024 * 1024;
const bytesPerGroup = 256 * 1024;

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

interface BadRecord {
  record: StoredRecord;
  reason: DeadLetterReason;
  /** Makes a record of its own with the one bad entry; absent when the whole record is bad. */
  value?: () => Buffer;
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

  return async function handle(batch: StoredRecord[], context: BatchContext): Promise<void> {
    const groups = groupByUser(batch, bytesPerGroup);
    const bad: BadRecord[] = [];
    let failed = false;
    const worker = async (): Promise<void> => {
      for (let next = groups.pop(); next && !failed; next = groups.pop()) {
        try {
          for (const record of next) {
            lifecycle.signal.throwIfAborted();
            await applyRecord(record, bad);
          }
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: parallel }, worker));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) throw failure.reason;
    bad.sort((a, b) => a.record.partition - b.record.partition || a.record.offset - b.record.offset);
    for (const { record, reason, value } of bad) {
      context.deadLetter(record, reason, value);
      refused.inc({ code: reason.code });
    }
  };
}

/** What is bad is put aside by itself, and is a conflict in the outcome of the rest. */
function readPart(record: StoredRecord, codec: Codec, bad: BadRecord[]): Part | undefined {
  let value: unknown;
  try {
    value = codec.decode(record.value);
  } catch (error) {
    if (!(error instanceof AppError) || error.statusCode === 503) throw error;
    bad.push({ record, reason: { code: error.code, message: error.message } });
    return undefined;
  }
  const parsed = timeEntrySyncEnvelope.safeParse(value);
  if (!parsed.success || parsed.data.part >= parsed.data.parts) {
    const message = parsed.success ? 'part is none of parts' : firstIssue(parsed.error);
    bad.push({ record, reason: { code: 'BAD_RECORD', message } });
    return undefined;
  }
  const { entries, refused, ...envelope } = parsed.data;
  const part: Part = {
    ...envelope,
    // Hex digits come in two cases.
    organizationId: envelope.organizationId.toLowerCase(),
    userId: envelope.userId.toLowerCase(),
    batchId: envelope.batchId.toLowerCase(),
    refused: [...refused],
    entries: [],
  };
  for (const given of entries) {
    const entry = readEntry(given);
    if (!('code' in entry)) {
      part.entries.push(entry);
      continue;
    }
    bad.push({ record, reason: entry, value: () => codec.encode({ ...parsed.data, refused: [], entries: [given] }) });
    const index = (given as { index?: unknown } | null)?.index;
    if (Number.isSafeInteger(index)) {
      part.refused.push({ index: index as number, idempotencyKey: null, reason: 'invalid', ...entry });
    }
  }
  return part;
}

/** What the gateway refuses comes from nobody, and is refused here as well. */
function readEntry(value: unknown): SyncEntryEvent | DeadLetterReason {
  const parsed = syncEntryEvent.safeParse(value);
  if (!parsed.success) return { code: 'BAD_ENTRY', message: firstIssue(parsed.error).slice(0, 500) };
  const entry = parsed.data;
  const { startedAt, endedAt, status, idempotencyKey, description, tags, timezone } = entry;
  if ((status === 'STOPPED') !== (endedAt !== null) || (endedAt !== null && endedAt <= startedAt)) {
    return { code: 'BAD_ENTRY', message: 'its times do not go with its status' };
  }
  for (const text of [idempotencyKey, description ?? '', timezone, ...tags]) {
    if (!isStorable(text)) return { code: 'INVALID_TEXT', message: 'A text holds U+0000 or half of a surrogate pair.' };
  }
  return { ...entry, projectId: entry.projectId?.toLowerCase() ?? null, taskId: entry.taskId?.toLowerCase() ?? null };
}

const firstIssue = (error: { issues: { path: PropertyKey[]; message: string }[] }): string => {
  const { path, message } = error.issues[0]!;
  return `${path.join('.') || 'value'}: ${message}`;
};
