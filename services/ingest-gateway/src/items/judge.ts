import type { Caller } from '@worktide/runtime';
import type { Rejection } from '@worktide/schemas';
import { type ItemKind, isProblem, type Problem } from './kind.ts';
import type { Item } from './read-items.ts';

/** What the items of a request are worth. Of the body that they came in nothing is kept. */
export interface Judged<T> {
  good: T[];
  /** Where in the request each of `good` stood. */
  places: number[];
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

export function createJudge<T extends object>(caller: Caller, { checker }: Pick<ItemKind<T>, 'checker'>): Judge<T> {
  const judged: Judged<T> = { good: [], places: [], goodBytes: 0, bad: [], warnings: [] };
  // A login without a device is told apart from others by its session.
  const deviceId = caller.deviceId ?? caller.sessionId ?? caller.userId;
  const check = checker({ nowMs: Date.now(), deviceId });
  let index = 0;
  const warnings: Problem[] = [];
  return {
    take(item, bytes = 0) {
      const checked = 'problem' in item ? item.problem : check(item.value, warnings);
      if (isProblem(checked)) {
        judged.bad.push(rejectionOf(index, 'value' in item ? item.value : undefined, checked));
      } else {
        judged.good.push(checked);
        judged.places.push(index);
        judged.goodBytes += bytes;
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
    if (refused(item)) left.bad.push(rejectionOf(place, item, problem));
    else {
      left.good.push(item);
      left.places.push(place);
    }
  }
  left.bad.sort((a, b) => a.index - b.index);
  const places = new Set(left.places);
  left.warnings = judged.warnings.filter(({ index }) => places.has(index));
  return left;
}

function rejectionOf(index: number, item: unknown, problem: Problem): Rejection {
  const id = (item as { id?: unknown } | null | undefined)?.id;
  return { index, ...(typeof id === 'string' ? { id: id.slice(0, 64) } : {}), ...problem };
}
