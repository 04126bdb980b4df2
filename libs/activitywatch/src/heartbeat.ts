import { isDeepStrictEqual } from 'node:util';

/** An event of a bucket: epoch ms, and its data as the watcher gave it. */
export interface Event {
  startedAt: number;
  endedAt: number;
  data: Record<string, unknown>;
}

/**
 * Whether a heartbeat goes on with the last event of its bucket: the same data, begun no earlier, and no later than `pulsetimeMs`
 * after its end.
 * @returns the event as it is then; undefined where the heartbeat is an event of its own.
 */
export function goesOn(last: Event | undefined, heartbeat: Event, pulsetimeMs: number): Event | undefined {
  if (!last || !isDeepStrictEqual(last.data, heartbeat.data)) return undefined;
  if (heartbeat.startedAt < last.startedAt || heartbeat.startedAt > last.endedAt + pulsetimeMs) return undefined;
  return { ...last, endedAt: Math.max(last.endedAt, heartbeat.endedAt) };
}

/**
 * Until when an event counts once another one follows: watchers that send no durations say only that something is there, and it is
 * there until they say otherwise, if that comes within `pulsetimeMs`.
 */
export const countedEnd = (event: Event, next: Event, pulsetimeMs: number): number =>
  next.startedAt > event.endedAt && next.startedAt - event.endedAt <= pulsetimeMs
    ? next.startedAt
    : Math.max(event.startedAt, Math.min(event.endedAt, Math.max(next.startedAt, event.startedAt)));
