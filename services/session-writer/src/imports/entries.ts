import type { StoredRecord } from '@worktide/event-log';
import { transactionWithEvents } from '@worktide/postgres';
import {
  type Codec,
  type ImportOutcome,
  type ImportRecord,
  importRecord,
  readRecord,
  type SyncEntryEvent,
  type SyncResult,
  type TimeEntryState,
  topics,
} from '@worktide/schemas';
import type { ApplyDependencies } from '../sync/apply.ts';
import { type ApplyOptions, applyAll } from '../sync/book.ts';
import { maxMet } from '../sync/decide.ts';
import { load, save } from '../sync/store.ts';
import { type Author, lockOf, recordsOf } from '../timers/store.ts';

/** Stored entries that are held around those of a part, unless a single one meets as many. */
const maxStored = 5_000;

export type EntriesRecord = ImportRecord & { what: { type: 'entries' } };

/**
 * Applies imported entries in one transaction with what is noted of them and told of it: once for each part, and not where the
 * import was taken out. What meets another entry is a conflict, whatever the organisation does with offline ones: what was made
 * one with others could not be taken out again.
 * @returns when what this changed is in the log; undefined where nothing was done. @throws 503.
 */
export async function applyImported(
  deps: ApplyDependencies & { outcomeCodec: Codec },
  record: EntriesRecord,
  terms: Pick<ApplyOptions, 'keptFrom'>,
): Promise<{ outcome: ImportOutcome; published: Promise<void> } | undefined> {
  const { pool, outbox, entriesCodec, outcomeCodec, now = Date.now } = deps;
  const { organizationId, userId, importId, actorId, what } = record;
  // Before the transaction: it may ask another service.
  const places = await deps.placesOf(organizationId, what.entries);
  const entries = what.entries.map((entry, i) => ({ ...entry, projectId: places[i]!.projectId }));
  const problemOf = new Map(entries.map((entry, i) => [entry, places[i]!.problem]));
  const who: Author = { organizationId, userId, actorId, requestId: null };
  const named = [organizationId, importId, userId];

  const whose = { pool, outbox, tenant: organizationId, own: true, lock: lockOf(who) };
  const { result, published } = await transactionWithEvents(whose, async (client, tell) => {
    const { rowCount } = await client.query(
      `SELECT FROM import_parts WHERE organization_id = $1 AND import_id = $2 AND user_id = $3 AND part = $4
       UNION ALL SELECT FROM removed_imports WHERE organization_id = $1 AND import_id = $2 AND user_id = $3`,
      [...named, what.part],
    );
    if (rowCount) return undefined;
    const changed = new Map<string, TimeEntryState>();
    const results: SyncResult[] = [];
    const conflicts: ImportOutcome['conflicts'] = [];
    const options: ApplyOptions = {
      ...terms,
      policy: 'reject',
      kind: 'imported',
      nowMs: now(),
      problemOf: (event: SyncEntryEvent) => problemOf.get(event),
    };
    for (let from = 0, length = entries.length; from < entries.length; ) {
      const events = entries.slice(from, from + length);
      const stored = await load(client, who, events, events.length === 1 ? maxMet + 1 : maxStored);
      if (!stored) {
        length = events.length >> 1;
        continue;
      }
      from += events.length;
      const applied = applyAll(stored, events, options);
      await save(client, who, stored, applied);
      results.push(...applied.results);
      for (const { index, idempotencyKey, reason, conflictsWith } of applied.conflicts) {
        const more = conflictsWith === undefined ? {} : { conflictsWith };
        conflicts.push({ index, idempotencyKey: idempotencyKey ?? '', reason, ...more });
      }
      for (const { after } of applied.changes) changed.set(after.id, after);
    }
    await client.query(
      `INSERT INTO import_parts (organization_id, import_id, user_id, part, entry_ids) VALUES ($1, $2, $3, $4, $5)`,
      [...named, what.part, [...changed.keys()]],
    );
    const created = results.filter(({ outcome }) => outcome === 'created').length;
    const skipped = results.length - created - conflicts.length;
    const outcome: ImportOutcome = {
      organizationId,
      userId,
      importId,
      part: what.part,
      created,
      skipped,
      conflicts,
    };
    tell(...recordsOf(who, [...changed.values()], entriesCodec));
    tell({ topic: topics['import-outcomes'].name, key: userId, value: outcomeCodec.encode(outcome) });
    return outcome;
  });
  return result && { outcome: result, published };
}

/** Tells of a part that became a dead letter that none of it was taken. Rejects 503. */
export async function buryImported(
  {
    pool,
    outbox,
    codec,
    outcomeCodec,
  }: Pick<ApplyDependencies, 'pool' | 'outbox'> & { codec: Codec; outcomeCodec: Codec },
  { value }: StoredRecord,
): Promise<void> {
  const read = readRecord(codec, value, importRecord);
  if ('unusable' in read || read.data.what.type !== 'entries') return;
  const { organizationId, userId, importId, what } = read.data;
  const conflicts = what.entries.map(({ index, idempotencyKey }) => ({
    index,
    idempotencyKey,
    reason: 'invalid' as const,
  }));
  const outcome: ImportOutcome = {
    organizationId,
    userId,
    importId,
    part: what.part,
    created: 0,
    skipped: 0,
    conflicts,
  };
  await transactionWithEvents({ pool, outbox, whenFull: 'leave' }, async (_, tell) => {
    tell({ topic: topics['import-outcomes'].name, key: userId, value: outcomeCodec.encode(outcome) });
  });
}
