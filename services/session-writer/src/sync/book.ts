import { uuidv7 } from '@worktide/runtime';
import type { ConflictReason, SyncConflict, SyncEntryEvent, SyncResult, TimeEntryState } from '@worktide/schemas';
import { within } from '../store/windows.ts';
import type { Change } from '../timers/store.ts';
import { decide, type Known, type KnownKey, maxMet, movesOn, sheetOf, statusOf } from './decide.ts';
import { type Sheet, type Span, touches, unionOf, workedOf } from './union.ts';

/** What is stored of one user, as far as some offline entries can meet it. */
export interface Stored {
  /** Not deleted; by id. */
  entries: Map<string, TimeEntryState>;
  keys: Map<string, KnownKey>;
  /** Time worked of others that an open entry took in, by its id: it is part of it wherever that one will end. */
  taken: Map<string, readonly Span[]>;
}

export interface Applied {
  results: SyncResult[];
  conflicts: SyncConflict[];
  /** One of each entry: from what was stored to what is to be, whatever it was in between. */
  changes: Change[];
  /** Entries that are part of others from now on, in the order of that: so are their keys, also those not in `keys`. */
  moved: { from: string; into: string }[];
  /** Of `keys` and `taken`, what is new. */
  keys: Set<string>;
  taken: Set<string>;
}

export interface ApplyOptions {
  policy: 'reject' | 'merge';
  /** Of new entries; `offline` unless said. */
  kind?: TimeEntryState['kind'];
  nowMs: number;
  /** What ended before that is not taken: its organisation keeps neither entries of then nor their keys. */
  keptFrom?: number | undefined;
  /** Why an entry's project or task is none that time may go to; undefined where it is. */
  problemOf(event: SyncEntryEvent): ConflictReason | undefined;
}

const sheetOfState = ({ startedAt, endedAt, pauses }: TimeEntryState): Sheet => ({
  start: startedAt,
  end: endedAt ?? Number.POSITIVE_INFINITY,
  pauses: pauses.map(({ from, to }) => ({ start: from, end: to ?? Number.POSITIVE_INFINITY })),
});

const finite = (ms: number): number | null => (ms === Number.POSITIVE_INFINITY ? null : ms);

const timesOf = (sheet: Sheet): Pick<TimeEntryState, 'startedAt' | 'endedAt' | 'pauses' | 'status'> => ({
  startedAt: sheet.start,
  endedAt: finite(sheet.end),
  pauses: sheet.pauses.map(({ start, end }) => ({ from: start, to: finite(end) })),
  status: statusOf(sheet),
});

const knownOf = (entry: TimeEntryState): Known => ({ id: entry.id, ...sheetOfState(entry) });

/** Applies offline entries in their order to what is stored, which it changes, and tells what has changed. */
export function applyAll(stored: Stored, events: readonly SyncEntryEvent[], options: ApplyOptions): Applied {
  const applied: Applied = { results: [], conflicts: [], changes: [], moved: [], keys: new Set(), taken: new Set() };
  for (const event of events) applyOne(stored, event, options, applied);
  return { ...applied, changes: squeezed(applied.changes) };
}

/**
 * What was never stored was never so: a thousand entries that go into one another leave one line in the ledger, and not a
 * thousand with all the pauses of each.
 */
function squeezed(changes: readonly Change[]): Change[] {
  const all = new Map<string, Change>();
  for (const { action, before, after } of changes) {
    const first = all.get(after.id);
    const isNew = first ? first.before === null : before === null;
    const from = first ? first.before : before;
    all.set(after.id, {
      // Of a new one how it came about, else what became of it.
      action: first && (isNew || first.action === 'merged') ? first.action : action,
      before: from,
      after: { ...after, version: (from?.version ?? 0) + 1 },
    });
  }
  return [...all.values()];
}

function applyOne(stored: Stored, event: SyncEntryEvent, options: ApplyOptions, applied: Applied): void {
  const { index, idempotencyKey } = event;
  const named = { index, idempotencyKey };
  const refuse = (conflict: Pick<SyncConflict, 'reason' | 'conflictsWith'>): void => {
    applied.results.push({ ...named, outcome: 'conflict' });
    applied.conflicts.push({ ...named, ...conflict });
  };
  const key = stored.keys.get(idempotencyKey);
  if (!key && event.endedAt !== null && event.endedAt < (options.keptFrom ?? 0)) {
    applied.results.push({ ...named, outcome: 'skipped' });
    return;
  }
  // Before its project is looked at: what was taken once is skipped, whatever has become of that.
  const problem = key && !movesOn(event, key) ? undefined : options.problemOf(event);
  if (problem) {
    refuse({ reason: problem });
    return;
  }

  const ownEntry = key && stored.entries.get(key.entryId);
  const isOwn = ownEntry !== undefined && !key?.isMerged;
  const own = isOwn ? knownOf(ownEntry) : undefined;
  const merged = own ? mergedOf(stored, own.id) : [];
  const sheet = sheetOf(event, { own, merged });
  const { met, open } = others(stored, sheet, own?.id);
  const decision = decide(event, { key, own, merged, open, met }, options.policy);
  switch (decision.outcome) {
    case 'skipped':
      applied.results.push({ ...named, outcome: 'skipped', id: decision.id });
      return;
    case 'conflict':
      refuse({ reason: 'overlap', conflictsWith: decision.conflictsWith });
      return;
    case 'created': {
      const after = newEntry(event, decision.sheet, options);
      save(stored, applied, { action: 'synced', before: null, after });
      learn(stored, applied, idempotencyKey, { entryId: after.id, ...saidOf(event), isMerged: false });
      applied.results.push({ ...named, outcome: 'created', id: after.id });
      return;
    }
    default: {
      const { id, takesIn } = decision;
      const before = stored.entries.get(id)!;
      const isMerged = decision.outcome === 'merged';
      const takenIn = takesIn.map((other) => sheetOfState(stored.entries.get(other)!));
      for (const other of takesIn) takeOut(stored, applied, other, id, options.nowMs);
      const said = isMerged ? {} : aboutOf(event);
      const after = { ...before, ...said, ...timesOf(decision.sheet), ...next(before, options.nowMs) };
      save(stored, applied, { action: takesIn.length > 0 || isMerged ? 'merged' : 'synced', before, after });
      if (after.endedAt === null) take(stored, applied, id, isMerged ? [sheet, ...takenIn] : takenIn);
      learn(stored, applied, idempotencyKey, { entryId: id, ...saidOf(event), isMerged });
      applied.results.push({ ...named, outcome: isMerged ? 'created' : 'updated', id });
    }
  }
}

/** Without what somebody has cut off since: an entry that takes another one in begins with it. */
function mergedOf({ taken, entries }: Stored, id: string): Sheet[] {
  const from = entries.get(id)!.startedAt;
  return within(taken.get(id) ?? [], { start: from, end: Number.POSITIVE_INFINITY }).map(({ start, end }) => ({
    start,
    end,
    pauses: [],
  }));
}

/** Others than the entry's own: those that lie over it, by start, and the open one. */
function others(stored: Stored, sheet: Sheet, ownId: string | undefined): { met: Known[]; open: Known | undefined } {
  const met: Known[] = [];
  let open: Known | undefined;
  for (const entry of stored.entries.values()) {
    if (entry.id === ownId) continue;
    if (entry.endedAt === null) open = knownOf(entry);
    if (touches({ start: entry.startedAt, end: entry.endedAt ?? Number.POSITIVE_INFINITY }, sheet))
      met.push(knownOf(entry));
  }
  return { met: met.sort((a, b) => a.start - b.start).slice(0, maxMet + 1), open };
}

/** What an event says of its entry besides its time; what it does not say stays. */
function aboutOf(event: SyncEntryEvent): Partial<TimeEntryState> {
  const { projectId, taskId, description, tags, billable, timezone } = event;
  return {
    ...(projectId === null ? {} : { projectId }),
    ...(taskId === null ? {} : { taskId }),
    ...(description === null ? {} : { description }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(billable ? { billable } : {}),
    timezone,
  };
}

function newEntry(
  event: SyncEntryEvent,
  sheet: Sheet,
  { nowMs, kind = 'offline' }: Pick<ApplyOptions, 'nowMs' | 'kind'>,
): TimeEntryState {
  const { projectId, taskId, description, tags, billable, timezone } = event;
  return {
    id: uuidv7(nowMs),
    kind,
    ...timesOf(sheet),
    projectId,
    taskId,
    description,
    tags,
    billable,
    timezone,
    createdAt: nowMs,
    updatedAt: nowMs,
    version: 1,
    deleted: false,
  };
}

const next = ({ version }: TimeEntryState, nowMs: number): Pick<TimeEntryState, 'version' | 'updatedAt'> => ({
  version: version + 1,
  updatedAt: nowMs,
});

function save(stored: Stored, applied: Applied, change: Change): void {
  stored.entries.set(change.after.id, change.after);
  applied.changes.push(change);
}

/** An entry that is part of another one from now on, with all keys that it was known by. */
function takeOut(stored: Stored, applied: Applied, id: string, into: string, nowMs: number): void {
  const before = stored.entries.get(id)!;
  stored.entries.delete(id);
  applied.changes.push({ action: 'merged', before, after: { ...before, deleted: true, ...next(before, nowMs) } });
  applied.moved.push({ from: id, into });
  for (const [key, known] of stored.keys) {
    if (known.entryId === id) stored.keys.set(key, { ...known, entryId: into, isMerged: true });
  }
}

function take(stored: Stored, applied: Applied, id: string, sheets: readonly Sheet[]): void {
  if (sheets.length === 0) return;
  stored.taken.set(id, unionOf([...(stored.taken.get(id) ?? []), ...sheets.flatMap(workedOf)]));
  applied.taken.add(id);
}

const saidOf = ({ status, endedAt }: SyncEntryEvent): Pick<KnownKey, 'status' | 'endedAt'> => ({ status, endedAt });

function learn(stored: Stored, applied: Applied, key: string, known: KnownKey): void {
  stored.keys.set(key, known);
  applied.keys.add(key);
}
