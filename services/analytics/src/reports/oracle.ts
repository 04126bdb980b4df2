import type { InputMinuteEvent, TimeEntryState, UsageEntryState } from '@worktide/schemas';

/**
 * What reports must say, worked out in the plainest way from all states that were ever announced, for tests.
 * It shares nothing with the service: days are found by asking the calendar at every minute, time is counted
 * piece by piece between all instants at which anything begins or ends.
 */

const minute = 60_000;

/** The first minute at which the zone's calendar shows the date or a later one; slow, so each is found once. */
const found = new Map<string, number>();
function firstMinute(date: string, zone: string): number {
  const key = `${date} ${zone}`;
  if (!found.has(key)) found.set(key, lookForFirstMinute(date, zone));
  return found.get(key)!;
}

function lookForFirstMinute(date: string, zone: string): number {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  for (let instant = Date.parse(date) - 16 * 60 * minute; ; instant += minute) {
    if (format.format(instant) >= date) return instant;
  }
}

const nextDate = (date: string): string => new Date(Date.parse(date) + 1440 * minute).toISOString().slice(0, 10);

/** The last state of each entry; a tombstone is none. */
export function latest<T extends { id: string; version: number; deleted: boolean }>(states: readonly T[]): T[] {
  const byId = new Map<string, T>();
  for (const state of states) {
    if ((byId.get(state.id)?.version ?? -1) < state.version) byId.set(state.id, state);
  }
  return [...byId.values()].filter((state) => !state.deleted);
}

/** Milliseconds of [from, to) covered by at least one of the entries. */
function covered(entries: readonly UsageEntryState[], from: number, to: number): number {
  const points = new Set([from, to]);
  for (const { startedAt, endedAt } of entries)
    for (const p of [startedAt, endedAt]) if (p > from && p < to) points.add(p);
  const sorted = [...points].sort((a, b) => a - b);
  let sum = 0;
  for (let i = 0; i + 1 < sorted.length; i++) {
    const at = sorted[i]!;
    if (entries.some(({ startedAt, endedAt }) => startedAt <= at && at < endedAt)) sum += sorted[i + 1]! - at;
  }
  return sum;
}

const active = (entries: readonly UsageEntryState[]): UsageEntryState[] => entries.filter((e) => e.state === 'active');

/** The greatest count of each minute and device between two instants, added up. */
function counted(
  minutes: readonly InputMinuteEvent[],
  of: 'keyboardClicks' | 'mouseMovements',
  from: number,
  to: number,
): number {
  const greatest = new Map<string, number>();
  for (const event of minutes) {
    if (event.minute < from || event.minute >= to) continue;
    const key = `${event.minute} ${event.deviceId}`;
    greatest.set(key, Math.max(greatest.get(key) ?? 0, event[of]));
  }
  return [...greatest.values()].reduce((a, b) => a + b, 0);
}

const score = (active: number, work: number): number | null =>
  work === 0 ? null : Math.round((active * 1000) / work) / 10;

export function dailyOracle(
  { states, minutes }: { states: readonly UsageEntryState[]; minutes: readonly InputMinuteEvent[] },
  from: string,
  to: string,
  zone: string,
) {
  const entries = latest(states);
  const items = [];
  for (let date = from; date <= to; date = nextDate(date)) {
    const range = [firstMinute(date, zone), firstMinute(nextDate(date), zone)] as const;
    const work = covered(entries, ...range);
    const activeMs = covered(active(entries), ...range);
    items.push({
      date,
      workSeconds: Math.round(work / 1000),
      activeSeconds: Math.round(activeMs / 1000),
      idleSeconds: Math.round(work / 1000) - Math.round(activeMs / 1000),
      productivityScore: score(Math.round(activeMs / 1000), Math.round(work / 1000)),
      keyboardClicks: counted(minutes, 'keyboardClicks', ...range),
      mouseMovements: counted(minutes, 'mouseMovements', ...range),
    });
  }
  return { items };
}

export function keyedOracle<K extends 'app' | 'host'>(
  states: readonly UsageEntryState[],
  key: K,
  date: string,
  zone: string,
) {
  const entries = active(latest(states)).filter((e) => e[key] !== null);
  const range = [firstMinute(date, zone), firstMinute(nextDate(date), zone)] as const;
  // A watcher of input is no application.
  const named = entries.filter((e) => e.source !== 'afk');
  const items = [...new Set(named.map((e) => e[key]))]
    .map((value) => ({
      value: value!,
      ms: covered(
        named.filter((e) => e[key] === value),
        ...range,
      ),
    }))
    .filter(({ ms }) => ms > 0)
    .sort((a, b) => b.ms - a.ms || (a.value < b.value ? -1 : 1));
  // One second more for one after the other, each time where most is cut off, until they make their sum.
  const shown = items.map(({ value, ms }) => ({ value, ms, seconds: Math.floor(ms / 1000) }));
  const sum = Math.round(items.reduce((all, { ms }) => all + ms, 0) / 1000);
  while (shown.reduce((all, { seconds }) => all + seconds, 0) < sum) {
    const cut = shown.map(({ ms, seconds }) => ms - seconds * 1000);
    shown[cut.indexOf(Math.max(...cut))]!.seconds++;
  }
  return {
    date,
    timezone: zone,
    totalSeconds: Math.round(covered(entries, ...range) / 1000),
    items: shown.map(({ value, seconds }) => ({ [key]: value, seconds })),
  };
}

/** Seconds of each project on each day, by `date projectId`: every millisecond of an entry that is of no pause. */
export function trackedOracle(
  states: readonly TimeEntryState[],
  from: string,
  to: string,
  zone: string,
  now: number,
): Map<string, number> {
  const tracked = new Map<string, number>();
  for (let date = from; date <= to; date = nextDate(date)) {
    const [start, end] = [firstMinute(date, zone), firstMinute(nextDate(date), zone)];
    const ms = new Map<string | null, number>();
    for (const { startedAt, endedAt, pauses, projectId } of latest(states)) {
      const within = (at: number): number => Math.min(Math.max(at, start), end);
      const length = (a: number, b: number): number => Math.max(0, within(b) - within(a));
      const paused = pauses.map(({ from: a, to: b }) => length(a, b ?? now)).reduce((a, b) => a + b, 0);
      const worked = length(startedAt, endedAt ?? now) - paused;
      ms.set(projectId, (ms.get(projectId) ?? 0) + worked);
    }
    // Less than half a second shows nowhere.
    for (const [projectId, sum] of ms) if (sum >= 500) tracked.set(`${date} ${projectId}`, Math.round(sum / 1000));
  }
  return tracked;
}

/** An app's or host's seconds over days. */
export function keyedSums(
  states: readonly UsageEntryState[],
  key: 'app' | 'host',
  from: string,
  to: string,
  zone: string,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (let date = from; date <= to; date = nextDate(date)) {
    for (const item of keyedOracle(states, key, date, zone).items as Record<string, string | number>[]) {
      const name = item[key] as string;
      sums.set(name, (sums.get(name) ?? 0) + (item.seconds as number));
    }
  }
  return sums;
}
