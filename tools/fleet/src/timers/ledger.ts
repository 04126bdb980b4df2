import type { MinutePlan, Span } from './plan.ts';

/** A time entry as the product must show it. */
export interface ExpectedTime extends Span {
  kind: 'timer' | 'manual' | 'offline';
  pauses: Span[];
  description: string | null;
  /** 1, and one more with each change. */
  version: number;
}

/** What became of the time of people, as far as it was acknowledged. */
export interface TimeLedger {
  /** What an entry is from now on; undefined where it is gone. */
  set(userId: string, key: string, entry: ExpectedTime | undefined): void;
  /** By start. */
  entries(userId: string): ExpectedTime[];
  /** A timer that runs to the end, and since when. */
  runs(userId: string, entryId: string, from: number): void;
  running(userId: string): { entryId: string; from: number } | undefined;
  /** Of all that is told of a minute of a device the greater of each count. */
  count(userId: string, deviceId: string, minutes: readonly MinutePlan[]): void;
  minutes(userId: string): MinutePlan[];
}

interface OfUser {
  entries: Map<string, ExpectedTime>;
  minutes: Map<string, MinutePlan>;
  running: { entryId: string; from: number } | undefined;
}

export function createTimeLedger(): TimeLedger {
  const users = new Map<string, OfUser>();
  const of = (userId: string): OfUser => {
    const known = users.get(userId) ?? { entries: new Map(), minutes: new Map(), running: undefined };
    users.set(userId, known);
    return known;
  };
  return {
    set(userId, key, entry) {
      if (entry) of(userId).entries.set(key, entry);
      else of(userId).entries.delete(key);
    },
    entries: (userId) => [...of(userId).entries.values()].sort((a, b) => a.from - b.from),
    runs(userId, entryId, from) {
      of(userId).running = { entryId, from };
    },
    running: (userId) => of(userId).running,
    count(userId, deviceId, minutes) {
      const known = of(userId).minutes;
      for (const { minute, keyboardClicks, mouseMovements } of minutes) {
        const name = `${minute} ${deviceId}`;
        const before = known.get(name);
        known.set(name, {
          minute,
          keyboardClicks: Math.max(keyboardClicks, before?.keyboardClicks ?? 0),
          mouseMovements: Math.max(mouseMovements, before?.mouseMovements ?? 0),
        });
      }
    },
    minutes: (userId) => [...of(userId).minutes.values()],
  };
}
