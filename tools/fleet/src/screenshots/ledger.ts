import type { Shot } from './shots.ts';

/** Sent without an answer; taken; refused for good. What was taken once stays so. */
export type ShotFate = 'unknown' | 'acknowledged' | 'refused';

export interface ShotRecord {
  shot: Shot;
  fate: ShotFate;
}

/** What was sent, by user and screenshot: what the product must show of it follows. */
export interface ShotLedger {
  settle(userId: string, shot: Shot, fate: ShotFate): void;
  of(userId: string): ReadonlyMap<string, ShotRecord>;
  count(fate: ShotFate): number;
}

export function createShotLedger(): ShotLedger {
  const users = new Map<string, Map<string, ShotRecord>>();
  return {
    settle(userId, shot, fate) {
      const shots = users.get(userId) ?? new Map<string, ShotRecord>();
      users.set(userId, shots);
      const known = shots.get(shot.screenshotId);
      if (known === undefined) shots.set(shot.screenshotId, { shot, fate });
      else if (known.fate !== 'acknowledged' && fate !== 'unknown') known.fate = fate;
    },
    of: (userId) => users.get(userId) ?? new Map(),
    count: (fate) =>
      [...users.values()].reduce((sum, shots) => sum + [...shots.values()].filter((s) => s.fate === fate).length, 0),
  };
}
