import type { PrivacyKind } from '@worktide/privacy';
import type { Caller } from '@worktide/runtime';
import type { Rejection } from '@worktide/schemas';
import { type ItemKind, isProblem, type Problem, type Terms } from './kind.ts';
import type { Item } from './read-items.ts';

/** What the items of a request are worth. Of the body that they came in nothing is kept. */
export interface Judged<T> {
  /** To be kept; several may be pieces of one item. */
  good: T[];
  /** Where in the request each of `good` stood. */
  places: number[];
  /** Items that are answered as accepted: those of `good`, and those of which nothing may be kept. */
  accepted: number;
  /** Why there is less of some of them. */
  taken: PrivacyKind[];
  /** What `good` came in, where it was told. */
  goodBytes: number;
  bad: Rejection[];
  /** What was changed about some of `good`. */
  warnings: Rejection[];
}

export interface Judge<T> {
  /** The next item of the request. */
  take(item: Item, bytes?: number): void;
  readonly judged: Judged<T>;
}

export function createJudge<T extends object>(
  caller: Caller,
  { checker, keep }: Pick<ItemKind<T>, 'checker' | 'keep'>,
  privacy: Terms['privacy'],
): Judge<T> {
  const judged: Judged<T> = { good: [], places: [], accepted: 0, taken: [], goodBytes: 0, bad: [], warnings: [] };
  const terms: Terms = { privacy, caller, nowMs: Date.now() };
  // A login without a device is told apart from others by its session.
  const deviceId = caller.deviceId ?? caller.sessionId ?? caller.userId;
  const check = checker({ nowMs: terms.nowMs, deviceId });
  let index = 0;
  const warnings: Problem[] = [];
  return {
    take(item, bytes = 0) {
      const checked = 'problem' in item ? item.problem : check(item.value, warnings);
      if (isProblem(checked)) {
        judged.bad.push(rejectionOf(index, 'value' in item ? item.value : undefined, checked));
      } else {
        const { kept, taken } = keep(checked, 'value' in item ? item.value : undefined, terms);
        judged.accepted++;
        for (const kind of taken) judged.taken.push(kind);
        for (const each of kept) {
          judged.good.push(each);
          judged.places.push(index);
          judged.goodBytes += bytes;
        }
        if (warnings.length > 0) {
          for (const warning of warnings.splice(0)) judged.warnings.push(rejectionOf(index, checked, warning));
        }
      }
      index++;
    },
    judged,
  };
}

/** The same without those of the good ones that are refused for what the others are. */
export function withoutSome<T>(judged: Judged<T>, refused: (item: T) => boolean, problem: Problem): Judged<T> {
  const left: Judged<T> = { ...judged, good: [], places: [], bad: [...judged.bad] };
  for (const [i, item] of judged.good.entries()) {
    const place = judged.places[i]!;
    if (refused(item)) {
      // Pieces of one item are of one stream, and refused as one.
      if (judged.places[i - 1] === place) continue;
      left.bad.push(rejectionOf(place, item, problem));
      left.accepted--;
    } else {
      left.good.push(item);
      left.places.push(place);
    }
  }
  left.bad.sort((a, b) => a.index - b.index);
  const refusedPlaces = new Set(left.bad.map(({ index }) => index));
  left.warnings = judged.warnings.filter(({ index }) => !refusedPlaces.has(index));
  return left;
}

function rejectionOf(index: number, item: unknown, problem: Problem): Rejection {
  const id = (item as { id?: unknown } | null | undefined)?.id;
  return { index, ...(typeof id === 'string' ? { id: id.slice(0, 64) } : {}), ...problem };
}
