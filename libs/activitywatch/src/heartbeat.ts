import { isDeepStrictEqual } from 'node:util';

/** An event of a bucket: its times since the epoch, all in one unit, and its data as the watcher gave it. */
export interface Event<Data = Record<string, unknown>> {
  startedAt: number;
  endedAt: number;
  data: Data;
}

/**
 * Whether a heartbeat goes on with the last event of its bucket: the same data, begun no earlier, and no later than `pulsetime`
 * after its end.
 * @returns the event as it is then; undefined where the heartbeat is an event of its own.
 */
export function goesOn<Data>(
  last: Event<Data> | undefined,
  heartbeat: Event<Data>,
  pulsetime: number,
): Event<Data> | undefined {
  if (!last || !isDeepStrictEqual(last.data, heartbeat.data)) return undefined;
  if (heartbeat.startedAt < last.startedAt || heartbeat.startedAt > last.endedAt + pulsetime) return undefined;
  return { ...last, endedAt: Math.max(last.endedAt, heartbeat.endedAt) };
}

/**
 * Until when an event counts once another one follows: watchers that send no durations say only that something is there, and it is
 * there until they say otherwise, if that comes within `pulsetime`.
 */
export const countedEnd = (event: Event<unknown>, next: Event<unknown>, pulsetime: number): number =>
  next.startedAt > event.endedAt && next.startedAt - event.endedAt <= pulsetime
    ? next.startedAt
    : Math.max(event.startedAt, Math.min(event.endedAt, Math.max(next.startedAt, event.startedAt)));
