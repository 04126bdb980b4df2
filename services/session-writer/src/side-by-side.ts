import type { BatchContext, DeadLetterReason, StoredRecord } from '@worktide/event-log';
import type { Metrics } from '@worktide/runtime';

/** What can never succeed, for the dead-letter topic. */
export interface BadRecord {
  record: StoredRecord;
  reason: DeadLetterReason;
  /** Makes a record of its own with the one bad item; absent when the whole record is bad. */
  value?: () => Buffer;
}

export interface SideBySide {
  /** A user's records stay in one group, in their order; groups are taken from the end. */
  groupsOf(batch: readonly StoredRecord[]): StoredRecord[][];
  /** Groups in work at once. */
  parallel: number;
  refused: ReturnType<Metrics['counter']>;
  /** Works on the records of one group, and puts what can never succeed into `bad`. */
  work(records: StoredRecord[], bad: BadRecord[]): Promise<void>;
}

/**
 * Handles a batch in groups. After a failure no further group is begun, and those in work are waited for: what they have done
 * stays, and the batch comes again.
 */
export function sideBySide({ groupsOf, parallel, refused, work }: SideBySide) {
  return async function handle(batch: StoredRecord[], context: BatchContext): Promise<void> {
    const groups = groupsOf(batch);
    const bad: BadRecord[] = [];
    let failed = false;
    const worker = async (): Promise<void> => {
      for (let next = groups.pop(); next && !failed; next = groups.pop()) {
        try {
          await work(next, bad);
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: parallel }, worker));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) throw failure.reason;
    // In the order of the topic, whichever group was done first: a retry meets the same ones again.
    bad.sort((a, b) => a.record.partition - b.record.partition || a.record.offset - b.record.offset);
    for (const { record, reason, value } of bad) {
      context.deadLetter(record, reason, value);
      refused.inc({ code: reason.code });
    }
  };
}
