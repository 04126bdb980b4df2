import { type Outbox, type Pool, type PoolClient, type Tell, transactionWithEvents } from '@worktide/postgres';
import { derivedUuid } from '@worktide/runtime';
import { type Codec, topics, type UsageEntryState, type UsageRecord } from '@worktide/schemas';
import { cutAtMonths, type KeySpan, type Month, type MonthChanges, type Span, shownState } from '../merge/index.ts';
import { type MonthWrites, noWrites, writeMonth } from './changes.ts';
import { foldMonth, type Part } from './fold-month.ts';
import { halvesOf } from './halves.ts';
import type { StoredEntry } from './neighbours.ts';
import type { Partitions } from './partitions.ts';
import { byIndex, byOrderedIndex } from './plans.ts';
import { createStreams, type LockedStream, lockStreams, type StreamIdentity, saveVersions } from './streams.ts';

/** What has become known of one stream. */
export interface StreamWork {
  stream: StreamIdentity;
  /** In any order; none empty. */
  pings: readonly KeySpan[];
  /** Erased time, recorded already, that is to be taken out of what is stored. */
  erased?: readonly Span[];
}

export interface MergeOutcome {
  added: number;
  changed: number;
  removed: number;
  /** Pieces of pings in months that retention has dropped. */
  letGo: number;
  /** When what this changed is in the log; rejects when the process closes first (a later sweep has it then). */
  published: Promise<void>;
}

export interface MergeOptions {
  pool: Pool;
  outbox: Outbox;
  partitions: Partitions;
  /** Of topic `usage`. */
  usageCodec: Codec;
  now?: () => number;
  /** Stored entries, and gaps, that one transaction reads of a month; 10,000 unless said. */
  maxRows?: number;
  /** Told of the stored entries, and gaps, that were read for a stream of so many pings. */
  onRead?: (stream: StreamIdentity, rows: number, pings: number) => void;
  /** Asked for each stream before each transaction; what it answers true for is left undone. */
  leavesOut?: (stream: StreamIdentity) => boolean;
}

/** An entry of 2,048 + 253 + 128 + 64 characters, each escaped in JSON, is below 16 KB; a record may have 900 KB. */
const entriesPerRecord = 50;

/**
 * The id of an entry, from facts that are the same wherever the log is replayed: the stream's identity, not its row's
 * number, and the start. A stream's entries are disjoint, so no two have one start.
 */
export const entryId = ({ organizationId, userId, deviceId, source }: StreamIdentity, startedAt: number): string =>
  derivedUuid('usage-entry', organizationId, userId, deviceId, source, startedAt);

/**
 * Stored entries, and gaps, that one transaction reads: above what a group of pings meets by itself, and few enough to be
 * held and told of. A ping of a day may lie over a day of entries of a second each.
 */
const maxRows = 10_000;

/**
 * Folds pings into the stored entries of distinct streams, in one transaction with the events that tell of it; in
 * several, cut by streams and by time, where there is too much stored around them. Each changes what the same facts had
 * not changed before, so running it again, or in parallel with any other, changes nothing.
 * @throws 503 while the database, or (with much unpublished) the log, is away; no transaction is half done.
 */
export async function* mergePieces(
  options: MergeOptions,
  work: readonly StreamWork[],
): AsyncGenerator<MergeOutcome, void> {
  const todo: (readonly StreamWork[])[] = [work];
  const { leavesOut } = options;
  for (let next = todo.pop(); next; next = todo.pop()) {
    const piece = leavesOut ? next.filter(({ stream }) => !leavesOut(stream)) : next;
    if (piece.length === 0) continue;
    let outcome = await mergePiece(options, piece, options.maxRows ?? maxRows);
    if (!outcome) {
      const halves = halvesOf(piece);
      if (halves) todo.push(...halves.reverse());
      else outcome = await mergePiece(options, piece, Number.POSITIVE_INFINITY);
    }
    if (outcome) yield outcome;
  }
}

/** All of `mergePieces` as one. */
export async function mergeStreams(options: MergeOptions, work: readonly StreamWork[]): Promise<MergeOutcome> {
  const total = { added: 0, changed: 0, removed: 0, letGo: 0 };
  const published: Promise<void>[] = [];
  for await (const outcome of mergePieces(options, work)) {
    for (const what of ['added', 'changed', 'removed', 'letGo'] as const) total[what] += outcome[what];
    published.push(outcome.published);
  }
  return { ...total, published: Promise.all(published).then(() => undefined) };
}

/** @returns undefined where more than `limit` rows are stored around the work: nothing was changed. */
async function mergePiece(
  options: MergeOptions,
  work: readonly StreamWork[],
  limit: number,
): Promise<MergeOutcome | undefined> {
  const { pool, partitions, outbox, usageCodec } = options;
  const cuts = work.map(({ pings, erased = [] }) => ({ pings: cutAtMonths(pings), erased: cutAtMonths(erased) }));
  let letGo = 0;
  const months = new Set<Month>();
  for (const cut of cuts) {
    for (const month of cut.pings.keys()) {
      if (partitions.isKept(month)) months.add(month);
      else letGo += cut.pings.get(month)!.length;
    }
    for (const month of cut.erased.keys()) if (partitions.isKept(month)) months.add(month);
  }
  const inOrder = [...months].sort();
  if (inOrder.length === 0) return { added: 0, changed: 0, removed: 0, letGo, published: Promise.resolve() };

  const attempt = () =>
    transactionWithEvents({ pool, outbox }, async (client, tell) => {
      await byIndex(client);
      const streams = work.map(({ stream }) => stream);
      const locked = await lockStreams(client, streams);
      const missing = streams.filter((_, i) => locked.own[i] === undefined);
      if (missing.length > 0) return { missing };
      await byOrderedIndex(client);
      const partsOf = (month: Month): Part[] =>
        work.flatMap(({ stream }, i) => {
          const pings = cuts[i]!.pings.get(month) ?? [];
          const also = cuts[i]!.erased.get(month) ?? [];
          if (pings.length + also.length === 0) return [];
          return [{ stream, locked: locked.own[i]!, pings, also, input: locked.inputOf.get(i), asked: pings.length }];
        });
      const masked = new Map([...locked.maskedBy].map(([i, under]) => [locked.own[i]!.id, under]));
      return mergeLocked(client, tell, options, { months: inOrder, partsOf, masked }, limit);
    });

  try {
    await usageCodec.prepare();
    await partitions.ensure(inOrder);
    for (;;) {
      const { result, published } = await attempt();
      if (!result) return undefined;
      if (!('missing' in result)) return { ...result, letGo, published };
      await createStreams(pool, result.missing);
    }
  } catch (error) {
    // Perhaps another replica has dropped a month that this one took for there.
    partitions.forget();
    throw error;
  }
}

/** @returns undefined, before anything is written, where more than `limit` rows are stored around the work. */
async function mergeLocked(
  client: PoolClient,
  tell: Tell,
  options: MergeOptions,
  todo: {
    months: readonly Month[];
    partsOf(month: Month): Part[];
    /** Streams under the mask of a watcher of input that is among the work, by its id. */
    masked: ReadonlyMap<number, readonly (LockedStream & { stream: StreamIdentity })[]>;
  },
  limit: number,
) {
  const { usageCodec, now = Date.now } = options;
  const nowMicros = now() * 1000;
  const reached = new Map<number, number>();
  const events = new Map<string, { organizationId: string; userId: string; entries: UsageEntryState[] }>();
  const counts = { added: 0, changed: 0, removed: 0 };
  const writes = new Map<Month, MonthWrites>();

  for (const month of todo.months) {
    const write = noWrites();
    writes.set(month, write);
    const folded = await foldMonth(client, month, { parts: todo.partsOf(month), masked: todo.masked }, options, limit);
    if (!folded) return undefined;
    for (const { part, changes } of folded) {
      const { stream, locked } = part;
      collectGaps(write, changes, locked.id);
      if (changes.added.length + changes.changed.length + changes.removed.length === 0) continue;
      const version = Math.max(locked.lastVersion + 1, nowMicros);
      reached.set(locked.id, version);
      counts.added += changes.added.length;
      counts.changed += changes.changed.length;
      counts.removed += changes.removed.length;
      const { organizationId, userId } = stream;
      const user = `${organizationId}/${userId}`;
      if (!events.has(user)) events.set(user, { organizationId, userId, entries: [] });
      collectEntries(write, changes, { stream, streamId: locked.id, version }, events.get(user)!.entries);
    }
  }

  for (const [month, write] of writes) await writeMonth(client, month, write);
  if (reached.size > 0) await saveVersions(client, reached);
  tell(...[...events.values()].flatMap((user) => recordsOf(user, usageCodec)));
  return counts;
}

function collectGaps(write: MonthWrites, changes: MonthChanges<StoredEntry>, streamId: number): void {
  for (const { start, end } of changes.gapsRemoved) write.gapsRemoved.push({ streamId, start, end });
  for (const { start, end } of changes.gapsAdded) write.gapsAdded.push({ streamId, start, end });
}

function collectEntries(
  write: MonthWrites,
  changes: MonthChanges<StoredEntry>,
  { stream, streamId, version }: { stream: StreamIdentity; streamId: number; version: number },
  events: UsageEntryState[],
): void {
  const { deviceId, source } = stream;
  const announce = (id: string, { start, end, key }: KeySpan, deleted: boolean): void => {
    const { app, host } = key;
    const state = shownState(key);
    events.push({ id, deviceId, source, app, host, state, startedAt: start, endedAt: end, version, deleted });
  };
  for (const was of changes.removed) {
    write.removed.push(was.id);
    announce(was.id, was, true);
  }
  for (const { was, now } of changes.changed) {
    write.changed.push({ ...now, id: was.id, streamId, version });
    announce(was.id, now, false);
  }
  for (const now of changes.added) {
    const id = entryId(stream, now.start);
    write.added.push({ ...now, id, streamId, version });
    announce(id, now, false);
  }
}

function recordsOf({ organizationId, userId, entries }: UsageRecord, codec: Codec) {
  const records = [];
  for (let i = 0; i < entries.length; i += entriesPerRecord) {
    const value = codec.encode({ organizationId, userId, entries: entries.slice(i, i + entriesPerRecord) });
    records.push({ topic: topics.usage.name, key: userId, value });
  }
  return records;
}
