import type { DayChanges } from '../ingest/changes.ts';

/** Days of people whose sums are to be made anew: what one process has seen change and not yet summed up. */
export interface DirtyDays {
  add(changes: DayChanges): void;
  /** Takes some of them: whole users, of one organisation after the other, `maxUsers` at most. */
  take(maxUsers: number): { organizationId: string; users: Map<string, Set<number>> }[];
  readonly users: number;
}

/**
 * Bounded by what people there are: days of one who has changed too many are left to the sweep, which finds what is stale
 * in the store.
 */
export function createDirtyDays(maxUsers: number): DirtyDays {
  const organizations = new Map<string, Map<string, Set<number>>>();
  let users = 0;

  return {
    get users() {
      return users;
    },
    add({ found }) {
      for (const [organizationId, changed] of found) {
        const known = organizations.get(organizationId) ?? new Map<string, Set<number>>();
        organizations.set(organizationId, known);
        for (const [userId, days] of changed) {
          const dirty = known.get(userId);
          if (dirty) for (const day of days) dirty.add(day);
          else if (users < maxUsers) {
            known.set(userId, new Set(days));
            users++;
          }
        }
      }
    },
    take(limit) {
      const taken: { organizationId: string; users: Map<string, Set<number>> }[] = [];
      let left = limit;
      for (const [organizationId, known] of organizations) {
        if (left === 0) break;
        const some = new Map([...known].slice(0, left));
        for (const userId of some.keys()) known.delete(userId);
        organizations.delete(organizationId);
        // Behind the others: a large organisation is one of many.
        if (known.size > 0) organizations.set(organizationId, known);
        left -= some.size;
        users -= some.size;
        if (some.size > 0) taken.push({ organizationId, users: some });
      }
      return taken;
    },
  };
}
