import { countedEnd, goesOn } from '@worktide/activitywatch';
import { applyPrivacy, type CompiledPrivacy, type Observed, type PrivacyKind, takenAt } from '@worktide/privacy';
import { defaultPingLimits, type PingEvent } from '@worktide/schemas';
import { type ErasedRange, rangesOf } from '../store/erased-ranges.ts';
import type { GivenEvent, NumberedEvent, StoredEvent } from './event.ts';
import { keptOf, pingOf } from './kept.ts';
import type { EarlierEvent, OpenBucket } from './store.ts';
import { perMs } from './times.ts';

/** What surrounds the events of one request, and what becomes of them all. */
export interface Fold {
  privacy: CompiledPrivacy;
  nowMs: number;
  /** Microseconds. */
  erased: readonly ErasedRange[];
  /** Events that are not the last of their bucket. */
  earlier: EarlierEvent[];
  /** By user, then by id. */
  pings: Map<string, Map<string, PingEvent>>;
  taken: PrivacyKind[];
}

interface Span {
  startedAt: number;
  endedAt: number;
}

/** An event may have 31 days as it was sent; heartbeats make none that is longer. */
const longest = 31 * 86_400_000 * perMs;
/** A little within what is taken, for the record is read later. */
const oldestMs = defaultPingLimits.maxAgeMs - 3_600_000;

/**
 * Folds one heartbeat into its bucket: the last event goes on, or another begins.
 * @returns the event that it belongs to; undefined where nothing may be kept of it.
 */
export function foldHeartbeat(
  fold: Fold,
  bucket: OpenBucket,
  given: GivenEvent,
  pulsetime: number,
  observed: Observed,
): NumberedEvent | undefined {
  const pieces = keptPieces(fold, bucket, given, observed);
  const [first] = pieces;
  if (!first) return undefined;
  const { last } = bucket;
  const isWhole = pieces.length === 1 && first.startedAt === given.startedAt;
  const goes = isWhole ? goesOn(last, first, pulsetime) : undefined;
  if (last && goes && goes.endedAt - goes.startedAt <= longest) {
    if (goes.endedAt === last.endedAt) return last;
    const more = { startedAt: last.endedAt, endedAt: goes.endedAt };
    if (isKept(fold, bucket, more, observed)) {
      bucket.last = { ...last, endedAt: goes.endedAt };
      tell(fold, bucket, last.data, more, observed);
      return bucket.last;
    }
  }
  if (last && isWhole) {
    const more = { startedAt: last.endedAt, endedAt: countedEnd(last, first, pulsetime) };
    if (more.endedAt > more.startedAt && isKept(fold, bucket, more, observed))
      tell(fold, bucket, last.data, more, observed);
  }
  return pieces.map((piece) => addEvent(fold, bucket, piece, observed)).at(-1);
}

/** Folds an event that is what it says. @returns its pieces as they are kept. */
export function foldEvent(fold: Fold, bucket: OpenBucket, given: GivenEvent, observed: Observed): NumberedEvent[] {
  return keptPieces(fold, bucket, given, observed).map((piece) => addEvent(fold, bucket, piece, observed));
}

/** The event of a bucket that begins last stands in the bucket's row, all others in a table of their own. */
function addEvent(fold: Fold, bucket: OpenBucket, piece: StoredEvent, observed: Observed): NumberedEvent {
  const event = { ...piece, number: ++bucket.count };
  const { last } = bucket;
  if (last && piece.startedAt < last.startedAt) fold.earlier.push({ ...event, bucket: bucket.number });
  else {
    if (last) fold.earlier.push({ ...last, bucket: bucket.number });
    bucket.last = event;
  }
  tell(fold, bucket, piece.data, piece, observed);
  return event;
}

/** What privacy and erasures leave of an event. */
function keptPieces(fold: Fold, bucket: OpenBucket, given: GivenEvent, observed: Observed): StoredEvent[] {
  const { pieces, taken } = keptOf(bucket, given, fold.privacy, observed, fold.nowMs);
  fold.taken.push(...taken);
  return pieces.flatMap((piece) => withoutErased(piece, rangesOf(fold.erased, bucket)));
}

/** The parts of an event outside erased ranges; one without length is there or not. */
export function withoutErased<T extends Span>(event: T, ranges: readonly { from: number; to: number }[]): T[] {
  let parts = [event];
  for (const { from, to } of ranges) {
    parts = parts.flatMap((part) => {
      const { startedAt, endedAt } = part;
      if (startedAt >= to || endedAt < from || (endedAt === from && startedAt < from)) return [part];
      return [
        ...(startedAt < from ? [{ ...part, endedAt: from }] : []),
        ...(endedAt > to ? [{ ...part, startedAt: to }] : []),
      ];
    });
  }
  return parts;
}

/** Whether the time between what was seen may be told, too. */
function isKept(fold: Fold, bucket: OpenBucket, span: Span, observed: Observed): boolean {
  const start = Math.floor(span.startedAt / perMs);
  const end = Math.max(start + 1, Math.ceil(span.endedAt / perMs));
  if (takenAt(fold.privacy, { start, end }, observed, fold.nowMs)) return false;
  return !rangesOf(fold.erased, bucket).some(({ from, to }) => span.startedAt < to && span.endedAt > from);
}

/** Tells a span of an event as pings, as far as pings are taken: none of over 24 hours, none that is too old. */
function tell(fold: Fold, bucket: OpenBucket, json: string, span: Span, observed: Observed): void {
  const { nowMs, privacy } = fold;
  const oldest = (nowMs - oldestMs) * perMs;
  if (span.endedAt < oldest) return;
  const data = JSON.parse(json) as Record<string, unknown>;
  const step = defaultPingLimits.maxDurationMs * perMs;
  let startedAt = Math.max(span.startedAt, oldest);
  do {
    const endedAt = Math.min(span.endedAt, startedAt + step);
    const ping = pingOf(bucket, data, { startedAt, endedAt }, nowMs);
    if (!ping) return;
    const ofUser = fold.pings.get(bucket.userId) ?? new Map<string, PingEvent>();
    fold.pings.set(bucket.userId, ofUser);
    // Its words were judged when they came; the rules may have changed since.
    for (const piece of applyPrivacy(privacy, ping, observed, nowMs).pings) ofUser.set(piece.id, piece);
    startedAt = endedAt;
  } while (startedAt < span.endedAt);
}
