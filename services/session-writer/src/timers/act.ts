import type { IncomingMessage } from 'node:http';
import { colleagueAsked, type Identity } from '@worktide/identity';
import {
  type Outbox,
  type Pool,
  type Queryable,
  type Reads,
  tenantTransaction,
  transactionWithEvents,
  violatedConstraint,
} from '@worktide/postgres';
import { type AppError, type Caller, conflict, forbidden, notFound } from '@worktide/runtime';
import type { Codec, TimeEntry, TimeEntrySnapshot, TimeEntryState } from '@worktide/schemas';
import type { KnownWorkspace } from '../workspace/known.ts';
import { secondsOf } from './active.ts';
import { keyReused } from './requests.ts';
import { type Author, type Change, findEntry, lockOf, recordsOf, writeChange } from './store.ts';

export interface TimersContext {
  /** Of requests. */
  pool: Pool;
  /** Of lists, which may lag behind. */
  reads: Reads;
  outbox: Outbox;
  /** Of topic `time-entries`. */
  codec: Codec;
  identity: Pick<Identity, 'findUser'>;
  workspace: Pick<KnownWorkspace, 'check'>;
  now: () => number;
}

/** Who asks, and in which request. */
export interface Request {
  caller: Caller;
  req: IncomingMessage;
  requestId: string;
  signal: AbortSignal;
}

/** A user's entries within a transaction in which nobody else changes them. */
export interface Book {
  client: Queryable;
  who: Author;
  /** The clock of this change. */
  nowMs: number;
  /** Writes what has become of an entry, its line in the ledger and its event. */
  write(change: Change): Promise<void>;
}

/**
 * Changes entries of one user: one after the other, whoever does it, with ledger and events in the same transaction.
 * Events leave after the commit; the log being away holds nothing up. Rejects 503, and as `work` does.
 */
export async function change<T>(
  context: TimersContext,
  { caller, requestId, signal }: Request,
  userId: string,
  work: (book: Book) => Promise<T>,
): Promise<T> {
  const { pool, outbox, codec } = context;
  const { organizationId } = caller;
  await codec.prepare();
  const who: Author = { organizationId, userId, actorId: caller.userId, requestId };
  const terms = { pool, outbox, tenant: organizationId, signal, lock: lockOf(who), whenFull: 'leave' } as const;
  const { result } = await transactionWithEvents(terms, async (client, tell) => {
    const changed: TimeEntryState[] = [];
    // After the lock: what waited for it is later.
    const nowMs = context.now();
    const done = await work({
      client,
      who,
      nowMs,
      async write(one) {
        await writeChange(client, who, one);
        changed.push(one.after);
      },
    });
    tell(...recordsOf(who, changed, codec));
    return done;
  }).catch((error: unknown) => {
    // Somebody wrote without the lock: it is as if they had been first.
    if (violatedConstraint(error) === 'time_entries_no_overlap') throw overlap(undefined);
    // One key at once for two people.
    if (violatedConstraint(error) === 'timer_requests_pkey') throw keyReused();
    throw error;
  });
  return result;
}

/**
 * The entry of this id, to be changed or read by the caller.
 * @throws 404 where the organisation has none, or it was deleted; 403 for an employee and a colleague's.
 */
export async function entryFor(
  client: Queryable,
  caller: Caller,
  id: string,
  { deleted = false }: { deleted?: boolean } = {},
): Promise<{ userId: string; entry: TimeEntryState }> {
  const found = await findEntry(client, caller.organizationId, id);
  if (!found || (found.entry.deleted && !deleted)) throw notFound();
  if (found.userId !== caller.userId && caller.role === 'employee') throw forbidden();
  return found;
}

/**
 * Changes an entry. Whose it is only a look at it tells, and nobody looks without the lock of its user: so it is taken for
 * the caller's at first, which it mostly is.
 * Rejects 404, 403, 503, and as `work` does.
 */
export async function changeEntry<T>(
  context: TimersContext,
  request: Request,
  id: string,
  work: (book: Book, entry: TimeEntryState) => Promise<T>,
): Promise<T> {
  const { caller } = request;
  for (let userId = caller.userId; ; ) {
    const done = await change(context, request, userId, async (book) => {
      const found = await entryFor(book.client, caller, id);
      return found.userId === userId ? { result: await work(book, found.entry) } : { owner: found.userId };
    });
    if ('result' in done) return done.result;
    userId = done.owner;
  }
}

/** An entry as it is, before it is changed. */
export const findFor = async (
  context: TimersContext,
  { caller, signal }: Request,
  id: string,
): Promise<TimeEntryState> =>
  (await tenantTransaction(context.pool, caller.organizationId, (client) => entryFor(client, caller, id), { signal }))
    .entry;

export const overlap = (other: TimeEntryState | undefined): AppError =>
  conflict(
    'OVERLAP',
    'Another entry has some of this time.',
    other && [{ path: 'startTime', code: 'OVERLAP', message: describe(other), conflictsWith: other.id }],
  );

export const alreadyOpen = (other: TimeEntryState): AppError =>
  conflict('TIMER_RUNNING', `A timer is ${other.status === 'PAUSED' ? 'paused' : 'running'} already; stop it first.`, [
    { path: 'id', code: 'TIMER_RUNNING', message: other.id, conflictsWith: other.id },
  ]);

const describe = ({ id, startedAt, endedAt }: TimeEntryState): string =>
  `${id}, from ${new Date(startedAt).toISOString()} to ${endedAt === null ? 'now' : new Date(endedAt).toISOString()}`;

/** Entries of one user as they are shown, with what was worked of them until now. */
export async function show(
  client: Queryable,
  whose: { organizationId: string; userId: string },
  entries: readonly TimeEntryState[],
  nowMs: number,
): Promise<TimeEntry[]> {
  const seconds = await secondsOf(client, whose.userId, entries, nowMs);
  return entries.map((entry, i) => {
    const { deleted: _, ...shown } = snapshotOf(entry);
    return { ...shown, userId: whose.userId, ...seconds[i]! };
  });
}

/** Log and ledger have epoch milliseconds; people are shown instants. */
export function snapshotOf(state: TimeEntryState): TimeEntrySnapshot {
  const { startedAt, endedAt, createdAt, updatedAt, pauses, ...rest } = state;
  const iso = (ms: number): string => new Date(ms).toISOString();
  const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms));
  return {
    ...rest,
    startTime: iso(startedAt),
    endTime: isoOrNull(endedAt),
    pauses: pauses.map(({ from, to }) => ({ from: iso(from), to: isoOrNull(to) })),
    createdAt: iso(createdAt),
    updatedAt: iso(updatedAt),
  };
}

/** As `userAsked`, for who writes; and in which zone that person is. @throws 404, 403, 503. */
export async function personFor(context: TimersContext, caller: Caller, given: string | undefined) {
  const userId = given ?? caller.userId;
  if (userId === caller.userId) return { userId, timezone: caller.timezone };
  const user = await colleagueAsked(caller, userId, context.identity.findUser);
  return { userId, timezone: user.timezone };
}
