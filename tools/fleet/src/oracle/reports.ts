import { dayBounds, localDate, nextDate } from './days.ts';
import type { Entry } from './merge.ts';

/** What the three reports must say about one local day of one user. */
export interface DayReport {
  date: string;
  workSeconds: number;
  activeSeconds: number;
  idleSeconds: number;
  /** Percent with one decimal, null without work. */
  productivityScore: number | null;
  /** Active seconds; absent where they round to nothing. */
  apps: Map<string, number>;
  hosts: Map<string, number>;
  /** The union of all entries that count in the domains report: the active ones with a host. */
  hostSeconds: number;
}

type Interval = { startedAt: number; endedAt: number };

/** Milliseconds covered by at least one interval. */
export function unionMs(intervals: readonly Interval[]): number {
  let covered = 0;
  let reached = Number.NEGATIVE_INFINITY;
  for (const { startedAt, endedAt } of [...intervals].sort((a, b) => a.startedAt - b.startedAt)) {
    if (endedAt <= reached) continue;
    covered += endedAt - Math.max(startedAt, reached);
    reached = endedAt;
  }
  return covered;
}

const seconds = (ms: number): number => Math.round(ms / 1000);

function secondsBy<K extends string>(entries: readonly Entry[], group: (entry: Entry) => K | null): Map<K, number> {
  const groups = new Map<K, Entry[]>();
  for (const entry of entries) {
    const key = group(entry);
    if (key === null) continue;
    const members = groups.get(key);
    if (members) members.push(entry);
    else groups.set(key, [entry]);
  }
  // Whole seconds that add up to their rounded sum (rule Time: shown): the greatest remainders are rounded up, of equal
  // ones that of the longest, then of the first by its bytes.
  const parts = [...groups].map(([key, members]) => ({ key, ms: unionMs(members) }));
  parts.sort((a, b) => b.ms - a.ms || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  const up = [...parts].sort((a, b) => (b.ms % 1000) - (a.ms % 1000));
  const floors = parts.reduce((sum, { ms }) => sum + Math.floor(ms / 1000), 0);
  const missing = seconds(parts.reduce((sum, { ms }) => sum + ms, 0)) - floors;
  const roundedUp = new Set(up.slice(0, missing));
  const result = new Map<K, number>();
  for (const part of parts) {
    const value = Math.floor(part.ms / 1000) + (roundedUp.has(part) ? 1 : 0);
    if (value > 0) result.set(part.key, value);
  }
  return result;
}

/** The local days that the entries touch, in order. */
export function daysTouched(entries: readonly Entry[], zone: string): string[] {
  const dates = new Set<string>();
  for (const { startedAt, endedAt } of entries) {
    const last = localDate(endedAt - 1, zone);
    for (let date = localDate(startedAt, zone); date <= last; date = nextDate(date)) dates.add(date);
  }
  return [...dates].sort();
}

/**
 * One day of one user from all entries of all streams: clipped at the local day, union over devices and sources,
 * rounded once at the end, idle being work less active as they are shown (rule Time: shown).
 */
export function dayReport(entries: readonly (Entry & { source?: string })[], date: string, zone: string): DayReport {
  const { from, to } = dayBounds(date, zone);
  const clipped = entries
    .map((e) => ({ ...e, startedAt: Math.max(e.startedAt, from), endedAt: Math.min(e.endedAt, to) }))
    .filter((e) => e.startedAt < e.endedAt);
  const active = clipped.filter((e) => e.key.state === 'active');
  // A watcher of input is no application.
  const named = active.filter((e) => e.source !== 'afk');
  const workMs = unionMs(clipped);
  const activeMs = unionMs(active);
  return {
    date,
    workSeconds: seconds(workMs),
    activeSeconds: seconds(activeMs),
    idleSeconds: seconds(workMs) - seconds(activeMs),
    productivityScore: seconds(workMs) === 0 ? null : Math.round((seconds(activeMs) * 1000) / seconds(workMs)) / 10,
    apps: secondsBy(named, (e) => e.key.app),
    hosts: secondsBy(named, (e) => e.key.host),
    hostSeconds: seconds(unionMs(active.filter((e) => e.key.host !== null))),
  };
}
