import { type SyncEntryEvent, type TimeEntryStatus, timeEntryBounds } from '@worktide/schemas';
import { cutSheet, mergeSheets, type Sheet, touches } from './union.ts';

/** A stored entry, as far as offline entries meet it. */
export interface Known extends Sheet {
  id: string;
}

/** What is known of the key of an offline entry. */
export interface KnownKey {
  /** The entry that it is for ever: its own, or the one that it was merged into. */
  entryId: string;
  /** The furthest that was said under it. */
  status: TimeEntryStatus;
  /** When that ended; null while it was not said to be stopped. */
  endedAt: number | null;
  /** It was merged into that entry, whose own key is another. */
  isMerged: boolean;
}

/** What is stored of a user that matters for one offline entry. */
export interface Book {
  key: KnownKey | undefined;
  /** The entry of the key, where it is its own and not deleted. */
  own: Known | undefined;
  /** Those that were merged into `own`, as they were. */
  merged: readonly Sheet[];
  /** Any other that is open. */
  open: Known | undefined;
  /** Others that lie over `sheetOf` the entry, by start, deleted ones left out; more than `maxMet` need not be told. */
  met: readonly Known[];
}

export type Decision =
  | { outcome: 'skipped'; id: string }
  | { outcome: 'conflict'; conflictsWith: string }
  /** A new entry with this time. */
  | { outcome: 'created'; sheet: Sheet }
  /** The entry of this key gets this time, and takes others in. */
  | { outcome: 'updated'; id: string; sheet: Sheet; takesIn: readonly string[] }
  /** Another entry gets this time: it takes in the new one, and others. */
  | { outcome: 'merged'; id: string; sheet: Sheet; takesIn: readonly string[] };

/** More entries are not made one: a conflict, then. */
export const maxMet = 200;

const rank: Record<TimeEntryStatus, number> = { RUNNING: 0, PAUSED: 1, STOPPED: 2 };

export function statusOf({ end, pauses }: Sheet): TimeEntryStatus {
  if (end !== Number.POSITIVE_INFINITY) return 'STOPPED';
  return pauses.at(-1)?.end === Number.POSITIVE_INFINITY ? 'PAUSED' : 'RUNNING';
}

/** Whether a key that was heard of says something new. */
export const movesOn = (event: SyncEntryEvent, key: KnownKey): boolean => rank[event.status] > rank[key.status];

/** The time that an offline entry says its entry has: pauses that are known of it stay, as far as they lie within. */
export function sheetOf(event: SyncEntryEvent, { own, merged }: Pick<Book, 'own' | 'merged'>): Sheet {
  const span = { start: event.startedAt, end: event.endedAt ?? Number.POSITIVE_INFINITY };
  const said = cutSheet({ ...span, pauses: own?.pauses ?? [] }, span);
  const isPaused = said.pauses.at(-1)?.end === Number.POSITIVE_INFINITY;
  if (event.status !== 'PAUSED' || isPaused) return mergeSheets([said, ...merged]);
  const start = Math.max(event.pausedAt ?? event.startedAt, said.pauses.at(-1)?.end ?? span.start);
  return mergeSheets([{ ...span, pauses: [...said.pauses, { start, end: span.end }] }, ...merged]);
}

/**
 * What becomes of an offline entry (rule Offline entries). Depends on nothing but what is stored, and having been done it
 * is `skipped` from then on.
 */
export function decide(event: SyncEntryEvent, book: Book, policy: 'reject' | 'merge'): Decision {
  const { key, own, open } = book;
  // Also one that somebody has deleted, stopped by hand, or that was merged into another: the key is that entry's.
  if (key && (!own || own.end !== Number.POSITIVE_INFINITY || !movesOn(event, key))) {
    return { outcome: 'skipped', id: key.entryId };
  }
  const sheet = sheetOf(event, book);
  const met = book.met.filter((other) => touches(other, sheet));
  const isOpen = event.status !== 'STOPPED';
  if (isOpen && open) return { outcome: 'conflict', conflictsWith: open.id };
  const [first] = met;
  if (!first) return own ? { outcome: 'updated', id: own.id, sheet, takesIn: [] } : { outcome: 'created', sheet };
  const refused = { outcome: 'conflict', conflictsWith: first.id } as const;
  // Where an open one will end nobody knows yet: it is not made one with others before.
  if (policy === 'reject' || isOpen || met.length > maxMet) return refused;
  const union = mergeSheets([sheet, ...met]);
  if (union.pauses.length > timeEntryBounds.pauses) return refused;
  if (union.end !== Number.POSITIVE_INFINITY && union.end - union.start > timeEntryBounds.durationMs) return refused;
  if (own) return { outcome: 'updated', id: own.id, sheet: union, takesIn: met.map(({ id }) => id) };
  // The open one goes on under its own id and key.
  const survivor = met.find(({ end }) => end === Number.POSITIVE_INFINITY) ?? first;
  const takesIn = met.filter((other) => other !== survivor).map(({ id }) => id);
  return { outcome: 'merged', id: survivor.id, sheet: union, takesIn };
}
