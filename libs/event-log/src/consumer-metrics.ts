import type { Metrics } from '@worktide/runtime';
import type { ConsumerState, StoredRecord } from './types.ts';

const states: ConsumerState[] = ['starting', 'running', 'paused', 'retrying', 'stopped'];

/** What an operator sees of one consumer. Labels: the group as configured, and the topic. */
export interface ConsumerMetrics {
  state(now: ConsumerState): void;
  lag(byTopic: Record<string, number>): void;
  consumed(batch: StoredRecord[]): void;
  handled(seconds: number): void;
  failed(): void;
  deadLetter(topic: string): void;
  setAside(senders: number): void;
}

export function createConsumerMetrics(metrics: Metrics, group: string): ConsumerMetrics {
  const state = metrics.gauge('worktide_consumer_state', '1 for the state the consumer is in.', ['group', 'state']);
  const lag = metrics.gauge('worktide_consumer_lag_records', 'Records not committed yet by the group.', [
    'group',
    'topic',
  ]);
  const records = metrics.counter('worktide_consumer_records_total', 'Records handled and committed.', [
    'group',
    'topic',
  ]);
  const seconds = metrics.histogram(
    'worktide_consumer_batch_seconds',
    'Time the handler took for a batch.',
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    ['group'],
  );
  const failures = metrics.counter(
    'worktide_consumer_batch_failures_total',
    'Attempts at a batch, or a part of one, that failed.',
    ['group'],
  );
  const letters = metrics.counter('worktide_consumer_dead_letters_total', 'Records put onto the dead-letter topic.', [
    'group',
    'topic',
  ]);
  const setAside = metrics.gauge(
    'worktide_consumer_senders_set_aside',
    'Senders over their limit of dead letters: kept by whole records, some of them unread.',
    ['group'],
  );
  setAside.set({ group }, 0);
  return {
    state(now) {
      for (const name of states) state.set({ group, state: name }, name === now ? 1 : 0);
    },
    lag(byTopic) {
      for (const [topic, value] of Object.entries(byTopic)) lag.set({ group, topic }, value);
    },
    consumed(batch) {
      const counts = new Map<string, number>();
      for (const { topic } of batch) counts.set(topic, (counts.get(topic) ?? 0) + 1);
      for (const [topic, count] of counts) records.inc({ group, topic }, count);
    },
    handled: (value) => seconds.observe({ group }, value),
    failed: () => failures.inc({ group }),
    deadLetter: (topic) => letters.inc({ group, topic }),
    setAside: (senders) => setAside.set({ group }, senders),
  };
}

/** How often a group had to go on from the earliest record, for its offset was not in the log. */
export function createOffsetResets(metrics: Metrics, group: string): (topic: string) => void {
  const resets = metrics.counter(
    'worktide_consumer_offset_resets_total',
    'Partitions that went on from the earliest record, for the offset of the group was not in the log.',
    ['group', 'topic'],
  );
  return (topic) => resets.inc({ group, topic });
}
