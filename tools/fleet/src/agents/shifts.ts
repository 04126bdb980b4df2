import { dayStart, localDate } from '../oracle/days.ts';
import type { Random } from '../random.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Below the 90 days that the service takes, with room for a run that lasts days. */
export const maxDaysBack = 80;

export interface Shift {
  from: number;
  to: number;
}

/** Tells the wall clock of a zone as a number: it falls when clocks go back and leaps when they go forward. */
function wallClockOf(zone: string): (ms: number) => number {
  // Making a formatter costs a hundred times what using it does.
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  return (ms) => {
    const parts = format.formatToParts(ms);
    const part = (type: string): number => Number(parts.find((p) => p.type === type)?.value);
    return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
  };
}

const clockChanges = new Map<string, number | undefined>();

/** The last change of the clocks in (after, before], to the minute; undefined where there is none. */
export function lastClockChange(zone: string, after: number, before: number): number | undefined {
  // A fleet of thousands has a dozen zones.
  const name = `${zone} ${after} ${before}`;
  if (!clockChanges.has(name)) clockChanges.set(name, findClockChange(zone, after, before));
  return clockChanges.get(name);
}

function findClockChange(zone: string, after: number, before: number): number | undefined {
  const wallClock = wallClockOf(zone);
  const offset = (ms: number): number => wallClock(ms) - Math.floor(ms / minuteMs) * minuteMs;
  let late = Math.floor(before / minuteMs) * minuteMs;
  while (late - dayMs > after && offset(late - dayMs) === offset(late)) late -= dayMs;
  let early = late - dayMs;
  if (early < after || offset(early) === offset(late)) return undefined;
  const now = offset(late);
  while (late - early > minuteMs) {
    const middle = early + Math.floor((late - early) / 2 / minuteMs) * minuteMs;
    if (offset(middle) === now) late = middle;
    else early = middle;
  }
  return late;
}

/** The start of this UTC month, or of the one before while this one is young. */
function lastMonthBorder(before: number): number {
  const at = new Date(before);
  const border = Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1);
  return before - border > 2 * hourMs ? border : Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - 1, 1);
}

/**
 * When an agent works, in the order in which it tells: the last `days` local days, evenings past midnight included,
 * and early among them the last UTC month border and the last change of clocks; after that ever older days, and
 * then all again, which contradicts what was said before.
 * @param latest no shift ends after this, epoch ms.
 */
export function* shifts(zone: string, latest: number, days: number, random: Random): Generator<Shift, never> {
  const border = lastMonthBorder(latest);
  const change = lastClockChange(zone, latest - maxDaysBack * dayMs, latest);
  const special: Shift[] = [{ from: border - 20 * minuteMs, to: border + 20 * minuteMs }];
  if (change !== undefined) special.push({ from: change - 90 * minuteMs, to: change + 90 * minuteMs });

  for (;;) {
    for (let first = Math.min(days, maxDaysBack); ; first = Math.min(first + days, maxDaysBack)) {
      // The first round ends today, each other one where the one before began.
      const last = first === Math.min(days, maxDaysBack) ? 0 : first - days + 1;
      for (let back = first; back >= last; back--) {
        const next = special.length > 0 && random.chance(0.5) ? special.pop()! : undefined;
        if (next) yield { from: next.from, to: Math.min(next.to, latest) };
        const midnight = dayStart(localDate(latest - back * dayMs, zone), zone);
        const evening = random.chance(0.3);
        const from = midnight + (evening ? random.int(19, 22) : random.int(7, 10)) * hourMs + random.int(0, hourMs);
        const to = Math.min(latest, from + random.int(3, evening ? 7 : 9) * hourMs);
        if (from < to) yield { from, to };
      }
      if (first >= maxDaysBack) break;
    }
  }
}
