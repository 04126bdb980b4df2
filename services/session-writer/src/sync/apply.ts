import { type Outbox, type Pool, tenantTransaction, transactionWithEvents } from '@worktide/postgres';
import type { Codec, RefusedSyncEntry, SyncEntryEvent, TimeEntryState } from '@worktide/schemas';
import { type Author, lockOf, recordsOf } from '../timers/store.ts';
import type { KnownWorkspace } from '../workspace/known.ts';
import { type ApplyOptions, applyAll } from './book.ts';
import { maxMet } from './decide.ts';
import { isApplied, type PartName, type PartOutcome, saveOutcome } from './outcomes.ts';
import { load, save } from './store.ts';

export interface ApplyDependencies {
  pool: Pool;
  outbox: Outbox;
  /** Of topic `time-entries`. */
  entriesCodec: Codec;
  /** Where time may go. */
  placesOf: KnownWorkspace['placesOf'];
  now?: () => number;
}

/** A record of topic `time-entry-syncs` that was found sound. */
export interface Part extends PartName {
  requestId: string | null;
  refused: RefusedSyncEntry[];
  entries: SyncEntryEvent[];
}

export interface AppliedPart {
  outcome: PartOutcome;
  /** Entries looked at: those brought, and those stored that they could meet. */
  looked: number;
  /** When what this changed is in the log; rejects when the process closes first (a later sweep has it then). */
  published: Promise<void>;
}

/** Entries that are looked up and written together. */
const sliceLength = 500;
/** Stored entries that are held around them, unless a single one meets as many. */
const maxStored = 5_000;

/**
 * Applies the entries of one record, in their order, in one transaction with the outcome, the ledger and the events.
 * @returns undefined where it was applied before: nothing has changed then.
 * @throws 503 while the database, or (with much unpublished) the log, is away.
 */
export async function applyPart(
  deps: ApplyDependencies,
  part: Part,
  terms: Pick<ApplyOptions, 'policy' | 'keptFrom'>,
): Promise<AppliedPart | undefined> {
  const { pool, outbox, entriesCodec, now = Date.now } = deps;
  // Before the transaction: it may ask another service.
  const places = await deps.placesOf(part.organizationId, part.entries);
  const entries = part.entries.map((entry, i) => ({ ...entry, projectId: places[i]!.projectId }));
  const problemOf = new Map(entries.map((entry, i) => [entry, places[i]!.problem]));
  const { organizationId, userId, requestId } = part;
  const who: Author = { organizationId, userId, actorId: userId, requestId };

  const whose = { pool, outbox, tenant: organizationId, own: true, lock: lockOf(who) };
  const { result, published } = await transactionWithEvents(whose, async (client, tell) => {
    if (await isApplied(client, part)) return undefined;
    const outcome: PartOutcome = refusedOnes(part);
    const changed = new Map<string, TimeEntryState>();
    let looked = entries.length;
    const options = { ...terms, nowMs: now(), problemOf: (event: SyncEntryEvent) => problemOf.get(event) };
    for (let from = 0, length = sliceLength; from < entries.length; ) {
      const events = entries.slice(from, from + length);
      const stored = await load(client, who, events, events.length === 1 ? maxMet + 1 : maxStored);
      if (!stored) {
        length = events.length >> 1;
        continue;
      }
      from += events.length;
      looked += stored.entries.size;
      const slice = applyAll(stored, events, options);
      await save(client, who, stored, slice);
      outcome.results.push(...slice.results);
      outcome.conflicts.push(...slice.conflicts);
      for (const { after } of slice.changes) changed.set(after.id, after);
    }
    await saveOutcome(client, part, outcome);
    tell(...recordsOf(who, [...changed.values()], entriesCodec));
    return { outcome, looked };
  });
  return result && { ...result, published };
}

/** Gives a record that became a dead letter its outcome. @throws 503. */
export async function buryPart(pool: Pool, part: Part): Promise<void> {
  const terms = { own: true };
  await tenantTransaction(
    pool,
    part.organizationId,
    (client) => saveOutcome(client, part, refusedOnes(part), true),
    terms,
  );
}

/** What was refused before it could be applied is part of the outcome. */
function refusedOnes({ refused }: Part): PartOutcome {
  return {
    results: refused.map(({ index, idempotencyKey }) => ({ index, idempotencyKey, outcome: 'conflict' })),
    conflicts: [...refused],
  };
}
