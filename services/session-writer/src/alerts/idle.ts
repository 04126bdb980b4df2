import type { Span } from '../merge/index.ts';

/** Time without activity that an alert is about; `until` is null while it lasts. */
export interface IdleAlert {
  id: string;
  from: number;
  until: number | null;
}

/** What is known of one time entry, all of it from `from` on. Instants are epoch milliseconds. */
export interface Watched {
  /** Nothing before it is looked at. */
  from: number;
  now: number;
  /** Whether its timer runs; then its last piece ends now. */
  isRunning: boolean;
  /** Its time without pauses: disjoint, in order. */
  worked: readonly Span[];
  /** When its person was active, on whatever device: disjoint, in order. */
  active: readonly Span[];
  thresholdMs: number;
  /** Its alerts that reach beyond `from`; of one that lasts there is one at most. */
  alerts: readonly IdleAlert[];
  /** Until when the one that lasts was seen to last. */
  seenUntil: number;
}

export interface Verdict {
  /** New alerts; `until` is null for one that lasts. */
  raised: { from: number; until: number | null }[];
  /** The alert that lasted, and no longer does. */
  ended: { id: string; until: number } | undefined;
  /** A time without activity begins where looking began: it may have begun before. */
  isCut: boolean;
}

/**
 * Whether a timer runs on an empty chair, or did since `from`: any stretch of worked time of the threshold or longer without
 * activity is one alert. What an alert is about is settled by when it was seen: activity that is told of later, from
 * before then, splits nothing into two alerts. It ends the alert where it leaves no such stretch.
 */
export function judgeIdle(watched: Watched): Verdict {
  const { from, isRunning, worked, active, thresholdMs, alerts } = watched;
  const gaps = worked.flatMap((piece) => without(piece, active));
  const last = isRunning ? worked.at(-1) : undefined;
  /** Where the timer runs: what lasts up to now, of whatever length. */
  const lasting = last && gaps.at(-1)?.end === last.end ? gaps.at(-1) : undefined;
  const stretches = gaps.filter((gap) => gap.end - gap.start >= thresholdMs);

  const open = alerts.find(({ until }) => until === null);
  let ended: Verdict['ended'];
  if (open && !(lasting && stretches.includes(lasting) && lasting.start <= watched.seenUntil)) {
    ended = { id: open.id, until: Math.max(open.from, endOf(watched, lasting)) };
  }
  const covered = alerts.map((alert) => ({
    start: alert.from,
    end: (alert === open ? ended?.until : alert.until) ?? Number.POSITIVE_INFINITY,
  }));
  const fresh = stretches.filter((gap) => !covered.some(({ start, end }) => gap.start < end && gap.end > start));
  return {
    ended,
    raised: fresh.map((gap) => ({ from: gap.start, until: gap === lasting ? null : gap.end })),
    isCut: fresh.some((gap) => gap.start === from),
  };
}

/** When the time without activity ended that was last seen to last. */
function endOf({ worked, active, isRunning, seenUntil, now }: Watched, lasting: Span | undefined): number {
  const end = isRunning ? now : (worked.at(-1)?.end ?? now);
  const activity = active.find((span) => span.end > seenUntil);
  if (activity) return Math.min(Math.max(activity.start, 0), end);
  return lasting?.start ?? end;
}

/** What of a span no other covers; others are disjoint and in order. */
export function without(span: Span, others: readonly Span[]): Span[] {
  const left: Span[] = [];
  let at = span.start;
  for (const { start, end } of others) {
    if (end <= at) continue;
    if (start >= span.end) break;
    if (start > at) left.push({ start: at, end: start });
    at = end;
  }
  if (at < span.end) left.push({ start: at, end: span.end });
  return left;
}
