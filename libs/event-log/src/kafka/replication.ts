import { AppError, type Logger, unavailable } from '@worktide/runtime';
import type { ReplicationOptions } from '../types.ts';

/** On how many brokers a topic is, and how many of them must have a record before it counts. */
export interface Copies {
  replication: number;
  minInsync: number;
}

/** With three, one broker may be away and writing goes on, and another one may be lost with its disk. */
const usualReplication = 3;

/** How many copies are asked for: what is said, or the best that so many brokers can do. */
export const replicationFor = (brokers: number, { replication }: ReplicationOptions): number =>
  replication ?? Math.min(usualReplication, brokers);

/** How many of a topic's copies must have a record: what is said, or more than half; of two one, or each restart stops all. */
export const minInsyncFor = (replication: number, { minInsync }: ReplicationOptions): number =>
  minInsync ?? (replication < 3 ? 1 : Math.floor(replication / 2) + 1);

/**
 * The copies of a new topic. What is said outright is never made less of.
 * @throws AppError `BAD_CONFIGURATION` for what can never be; `DEPENDENCY_UNAVAILABLE` while there are too few brokers.
 */
export function copiesFor(brokers: number, options: ReplicationOptions): Copies {
  const replication = replicationFor(brokers, options);
  const minInsync = minInsyncFor(replication, options);
  if (minInsync > replication) {
    const why = `${minInsync} copies in sync were asked of ${replication}`;
    throw new AppError('BAD_CONFIGURATION', `Bad configuration:\n  event log: ${why}`);
  }
  if (replication > brokers) {
    throw unavailable('event log', new Error(`${replication} copies were asked of ${brokers} brokers`));
  }
  return { replication, minInsync };
}

/** Says aloud where a single failure costs more than a moment. */
export function sayIfWeak({ replication, minInsync }: Copies, log: Logger): void {
  const weakness =
    replication === 1
      ? 'every topic is kept once: what was acknowledged is lost with one disk'
      : minInsync === 1
        ? 'a record counts when one broker has it: it may be lost with that one'
        : minInsync === replication
          ? 'every copy must be in sync: nothing is written while one broker is away'
          : undefined;
  if (weakness) log.warn({ replication, minInsync }, weakness);
}
