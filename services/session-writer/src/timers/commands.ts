import { type AppError, conflict, invalid, uuidv7 } from '@worktide/runtime';
import { type TimeEntryState, timeEntryBounds } from '@worktide/schemas';

/** What somebody does to an entry, as functions of what it is: no clock, no database. Instants are epoch milliseconds. */

/** What a person says about an entry besides its time; what is undefined is not said. */
export interface About {
  projectId?: string | null | undefined;
  taskId?: string | null | undefined;
  description?: string | null | undefined;
  tags?: string[] | undefined;
  billable?: boolean | undefined;
  timezone?: string | undefined;
}

const inFuture = (what: string): AppError => invalid('IN_FUTURE', `${what} is in the future.`);

function requirePast(ms: number, nowMs: number, what: string): void {
  if (ms < 0) throw invalid('INVALID_TIME', `${what} is before 1970.`);
  if (ms > nowMs) throw inFuture(what);
}

/** @throws 400 `END_BEFORE_START`, `TOO_LONG`. */
function requireLength(startedAt: number, endedAt: number): void {
  if (endedAt <= startedAt) throw invalid('END_BEFORE_START', 'endTime is not after startTime.');
  if (endedAt - startedAt > timeEntryBounds.durationMs) {
    throw invalid('TOO_LONG', 'An entry is 31 days long at most.');
  }
}

const blank = (nowMs: number, about: About & { timezone: string }) => ({
  id: uuidv7(nowMs),
  projectId: about.projectId ?? null,
  taskId: about.taskId ?? null,
  description: about.description ?? null,
  tags: about.tags ?? [],
  billable: about.billable ?? false,
  timezone: about.timezone,
  pauses: [],
  createdAt: nowMs,
  updatedAt: nowMs,
  version: 1,
  deleted: false,
});

/** A timer that runs. @throws 400 `IN_FUTURE`, `TOO_LONG` for a start of more than 31 days ago. */
export function start(about: About & { timezone: string }, startedAt: number, nowMs: number): TimeEntryState {
  requirePast(startedAt, nowMs, 'startTime');
  if (nowMs - startedAt > timeEntryBounds.durationMs) throw invalid('TOO_LONG', 'An entry is 31 days long at most.');
  return { ...blank(nowMs, about), kind: 'timer', status: 'RUNNING', startedAt, endedAt: null };
}

/** An entry by hand. @throws 400 `IN_FUTURE`, `END_BEFORE_START`, `TOO_LONG`. */
export function createByHand(
  about: About & { timezone: string },
  startedAt: number,
  endedAt: number,
  nowMs: number,
): TimeEntryState {
  requirePast(startedAt, nowMs, 'startTime');
  requireLength(startedAt, endedAt);
  requirePast(endedAt, nowMs, 'endTime');
  return { ...blank(nowMs, about), kind: 'manual', status: 'STOPPED', startedAt, endedAt };
}

/** When it last began, was paused or went on. */
export const lastStepOf = ({ startedAt, pauses }: TimeEntryState): number => {
  const last = pauses.at(-1);
  return last ? (last.to ?? last.from) : startedAt;
};

function requireStep(entry: TimeEntryState, at: number, nowMs: number): void {
  if (at > nowMs) throw inFuture('at');
  if (at < lastStepOf(entry)) {
    const last = new Date(lastStepOf(entry)).toISOString();
    throw invalid('BEFORE_LAST_CHANGE', `at is before the last change of state, ${last}.`);
  }
}

const stopped = (): AppError => conflict('TIMER_STOPPED', 'This timer has been stopped.');
const changed = ({ version }: TimeEntryState, nowMs: number) => ({ version: version + 1, updatedAt: nowMs });

/** @throws 409 `TIMER_STOPPED`, `TIMER_NOT_RUNNING`, `TOO_MANY_PAUSES`; 400 `IN_FUTURE`, `BEFORE_LAST_CHANGE`. */
export function pause(entry: TimeEntryState, at: number, nowMs: number): TimeEntryState {
  if (entry.status === 'STOPPED') throw stopped();
  if (entry.status === 'PAUSED') throw conflict('TIMER_NOT_RUNNING', 'This timer is paused already.');
  requireStep(entry, at, nowMs);
  const last = entry.pauses.at(-1);
  // Paused again at the very moment when it went on: one pause. The database would make one of them, too.
  const pauses = last?.to === at ? entry.pauses.slice(0, -1) : entry.pauses;
  if (pauses.length >= timeEntryBounds.pauses) {
    throw conflict('TOO_MANY_PAUSES', `An entry has ${timeEntryBounds.pauses} pauses at most; start another one.`);
  }
  const from = last?.to === at ? last.from : at;
  return { ...entry, status: 'PAUSED', pauses: [...pauses, { from, to: null }], ...changed(entry, nowMs) };
}

/** Ends the open pause; one that took no time is none. */
function closed(entry: TimeEntryState, at: number): TimeEntryState['pauses'] {
  return entry.pauses.map(({ from, to }) => ({ from, to: to ?? at })).filter(({ from, to }) => from < to);
}

/** @throws 409 `TIMER_STOPPED`, `TIMER_NOT_PAUSED`; 400 as `pause`. */
export function resume(entry: TimeEntryState, at: number, nowMs: number): TimeEntryState {
  if (entry.status === 'STOPPED') throw stopped();
  if (entry.status === 'RUNNING') throw conflict('TIMER_NOT_PAUSED', 'This timer is not paused.');
  requireStep(entry, at, nowMs);
  return { ...entry, status: 'RUNNING', pauses: closed(entry, at), ...changed(entry, nowMs) };
}

/** @throws 409 `TIMER_STOPPED`; 400 as `pause`. */
export function stop(entry: TimeEntryState, at: number, nowMs: number): TimeEntryState {
  if (entry.status === 'STOPPED') throw stopped();
  requireStep(entry, at, nowMs);
  // Started and stopped within a millisecond: an entry has some length.
  const endedAt = Math.max(at, entry.startedAt + 1);
  return { ...entry, status: 'STOPPED', endedAt, pauses: closed(entry, endedAt), ...changed(entry, nowMs) };
}

export interface Edit extends About {
  startedAt?: number | undefined;
  endedAt?: number | undefined;
}

const fields = ['projectId', 'taskId', 'description', 'tags', 'billable', 'timezone'] as const;

/**
 * Changes what is named, and nothing else: pauses that lie inside the new time stay.
 * @returns the same entry where nothing changes.
 * @throws 400 `IN_FUTURE`, `END_BEFORE_START`, `TOO_LONG`; 409 `TIMER_NOT_STOPPED` for an end of an open one.
 */
export function edit(entry: TimeEntryState, given: Edit, nowMs: number): TimeEntryState {
  const next = { ...entry };
  for (const field of fields) {
    if (given[field] !== undefined) Object.assign(next, { [field]: given[field] });
  }
  if (given.startedAt !== undefined) next.startedAt = given.startedAt;
  if (given.endedAt !== undefined) {
    if (entry.endedAt === null) throw conflict('TIMER_NOT_STOPPED', 'An open timer has no end: stop it first.');
    next.endedAt = given.endedAt;
  }
  if (next.startedAt !== entry.startedAt || next.endedAt !== entry.endedAt) {
    if (given.startedAt !== undefined) requirePast(next.startedAt, nowMs, 'startTime');
    requireLength(next.startedAt, next.endedAt ?? Math.max(nowMs, next.startedAt + 1));
    if (given.endedAt !== undefined) requirePast(given.endedAt, nowMs, 'endTime');
    next.pauses = within(entry.pauses, next.startedAt, next.endedAt);
  }
  return isSame(entry, next) ? entry : { ...next, ...changed(entry, nowMs) };
}

const within = (pauses: TimeEntryState['pauses'], startedAt: number, endedAt: number | null) =>
  pauses.flatMap(({ from, to }) => {
    const cut = { from: Math.max(from, startedAt), to: to === null ? endedAt : Math.min(to, endedAt ?? to) };
    return cut.to === null || cut.from < cut.to ? [cut] : [];
  });

const isSame = (a: TimeEntryState, b: TimeEntryState): boolean => JSON.stringify(a) === JSON.stringify(b);

export const remove = (entry: TimeEntryState, nowMs: number): TimeEntryState => ({
  ...entry,
  deleted: true,
  ...changed(entry, nowMs),
});
