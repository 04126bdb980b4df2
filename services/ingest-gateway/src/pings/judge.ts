import type { Caller } from '@worktide/runtime';
import {
  checkPing,
  isProblem,
  type PingEvent,
  type PingLimits,
  type PingProblem,
  type Rejection,
} from '@worktide/schemas';
import type { Item } from './read-items.ts';

/** What the items of a request are worth. Of the body that they came in nothing is kept. */
export interface Judged {
  good: PingEvent[];
  /** Where in the request each of `good` stood. */
  places: number[];
  /** What `good` came in, where it was told. */
  goodBytes: number;
  bad: Rejection[];
  /** What was changed about some of `good`. */
  warnings: Rejection[];
}

export interface Judge {
  /** The next item of the request. */
  take(item: Item, bytes?: number): void;
  readonly judged: Judged;
}

export function createJudge(caller: Caller, limits: PingLimits): Judge {
  const judged: Judged = { good: [], places: [], goodBytes: 0, bad: [], warnings: [] };
  // A login without a device is told apart from others by its session.
  const deviceId = caller.deviceId ?? caller.sessionId ?? caller.userId;
  const context = { nowMs: Date.now(), deviceId, limits };
  let index = 0;
  const warnings: PingProblem[] = [];
  return {
    take(item, bytes = 0) {
      const checked = 'problem' in item ? item.problem : checkPing(item.value, context, warnings);
      if (isProblem(checked)) {
        const id = 'value' in item ? (item.value as { id?: unknown } | null)?.id : undefined;
        judged.bad.push(rejectionOf(index, id, checked));
      } else {
        judged.good.push(checked);
        judged.places.push(index);
        judged.goodBytes += bytes;
        if (warnings.length > 0) {
          for (const warning of warnings.splice(0)) judged.warnings.push(rejectionOf(index, checked.id, warning));
        }
      }
      index++;
    },
    judged,
  };
}

/** The same without those of the good ones that are refused for what the others are. */
export function withoutSome(judged: Judged, refused: (ping: PingEvent) => boolean, problem: PingProblem): Judged {
  const left: Judged = { ...judged, good: [], places: [], bad: [...judged.bad] };
  for (const [i, ping] of judged.good.entries()) {
    const place = judged.places[i]!;
    if (refused(ping)) left.bad.push(rejectionOf(place, ping.id, problem));
    else {
      left.good.push(ping);
      left.places.push(place);
    }
  }
  left.bad.sort((a, b) => a.index - b.index);
  const places = new Set(left.places);
  left.warnings = judged.warnings.filter(({ index }) => places.has(index));
  return left;
}

const rejectionOf = (index: number, id: unknown, problem: PingProblem): Rejection => ({
  index,
  ...(typeof id === 'string' ? { id: id.slice(0, 64) } : {}),
  ...problem,
});
