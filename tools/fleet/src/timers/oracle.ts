import { dayBounds, localDate, nextDate } from '../oracle/days.ts';
import type { ExpectedEntry } from '../oracle/ledger.ts';
import { unionMs } from '../oracle/reports.ts';
import type { ExpectedTime } from './ledger.ts';
import type { MinutePlan, Span } from './plan.ts';

/** Seconds of an entry as they must be shown. */
export interface ExpectedSeconds {
  workedSeconds: number;
  activeSeconds: number;
  idleSeconds: number;
  untrackedSeconds: number;
  lastActivityAt: string | null;
}

const seconds = (ms: number): number => Math.round(ms / 1000);

/** The time of an entry without its pauses. */
export function workedOf({ from, to, pauses }: Pick<ExpectedTime, 'from' | 'to' | 'pauses'>): Span[] {
  const worked: Span[] = [];
  let at = from;
  for (const pause of pauses) {
    if (pause.from > at) worked.push({ from: at, to: pause.from });
    at = pause.to;
  }
  if (at < to) worked.push({ from: at, to });
  return worked;
}

const lengthOf = (spans: readonly Span[]): number => spans.reduce((sum, { from, to }) => sum + to - from, 0);

/** Worked, active, idle and neither, by counting the union of usage within each worked piece. */
export function secondsOf(entry: ExpectedTime, usage: readonly ExpectedEntry[]): ExpectedSeconds {
  const worked = workedOf(entry);
  const within = usage
    .filter((u) => u.startedAt < entry.to && u.endedAt > entry.from)
    .flatMap((u) =>
      worked
        .map(({ from, to }) => ({ ...u, startedAt: Math.max(u.startedAt, from), endedAt: Math.min(u.endedAt, to) }))
        .filter(({ startedAt, endedAt }) => startedAt < endedAt),
    );
  const active = within.filter(({ key }) => key.state === 'active');
  const workedSeconds = seconds(lengthOf(worked));
  const activeSeconds = seconds(unionMs(active));
  const idleSeconds = seconds(unionMs(within)) - activeSeconds;
  return {
    workedSeconds,
    activeSeconds,
    idleSeconds,
    untrackedSeconds: workedSeconds - activeSeconds - idleSeconds,
    lastActivityAt: active.length === 0 ? null : new Date(Math.max(...active.map((u) => u.endedAt))).toISOString(),
  };
}

/** How long somebody has worked on each local day, milliseconds. */
export function workedByDay(entries: readonly ExpectedTime[], zone: string): Map<string, number> {
  const days = new Map<string, number>();
  for (const { from, to } of entries.flatMap(workedOf)) {
    const last = localDate(to - 1, zone);
    for (let date = localDate(from, zone); date <= last; date = nextDate(date)) {
      const day = dayBounds(date, zone);
      const ms = Math.min(to, day.to) - Math.max(from, day.from);
      if (ms > 0) days.set(date, (days.get(date) ?? 0) + ms);
    }
  }
  return days;
}

/** Clicks and movements of the minutes that begin on each local day. */
export function countsByDay(minutes: readonly MinutePlan[], zone: string): Map<string, Omit<MinutePlan, 'minute'>> {
  const days = new Map<string, Omit<MinutePlan, 'minute'>>();
  for (const { minute, keyboardClicks, mouseMovements } of minutes) {
    const date = localDate(minute, zone);
    const day = days.get(date) ?? { keyboardClicks: 0, mouseMovements: 0 };
    day.keyboardClicks += keyboardClicks;
    day.mouseMovements += mouseMovements;
    days.set(date, day);
  }
  return days;
}
