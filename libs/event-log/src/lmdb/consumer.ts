import { setImmediate as nextTurn } from 'node:timers/promises';
import { describeError, type Space } from '@worktide/runtime';
import { createDelivery, type Delivery, type Source } from '../delivery.ts';
import type { ConsumerHooks } from '../log.ts';
import type { ConsumeOptions, Consumer, OpenOptions } from '../types.ts';
import type { AssignedPartition, Member } from './groups.ts';
import type { SharedStore } from './shared.ts';

/** Other processes' writes are seen after this; this process's own at once. */
const pollMs = 500;
/** Reading is synchronous: this much of one partition, then the event loop has its turn. */
const readLimit = { records: 500, bytes: 256 * 1024 };

interface Position extends AssignedPartition {
  next: number;
}

export interface LmdbConsumerDependencies extends ConsumerHooks {
  shared: SharedStore;
  space: Space;
  prefix: string;
  open: OpenOptions;
}

/** A group member on the embedded log. */
export function createLmdbConsumer(options: ConsumeOptions, dependencies: LmdbConsumerDependencies): Consumer {
  const { shared, space, prefix, open } = dependencies;
  const { store, groups } = shared;
  const group = prefix + options.group;
  let positions: Position[] = [];
  let leaving = false;

  const source: Source = {
    commit: (offsets) =>
      store.commit(
        group,
        offsets.map(({ topic, ...rest }) => ({ topic: prefix + topic, ...rest })),
      ),
    lag: dependencies.lag,
    writeDeadLetter: dependencies.writeDeadLetter,
    healthy: () => true,
    async leave() {
      leaving = true;
      groups.leave(group, member);
      shared.appended();
      await fetching;
      dependencies.onClosed();
    },
  };
  const delivery: Delivery = createDelivery(options, source, open);

  const member: Member = {
    topics: options.topics.map((topic) => prefix + topic),
    assign(partitions) {
      delivery.reassigned();
      positions = partitions.map(({ topic, partition }) => {
        const start = store.start(topic, partition);
        const next = Math.max(start, store.committed(group, topic.name, partition) ?? 0);
        return { topic: { ...topic, name: topic.name.slice(prefix.length) }, partition, next };
      });
    },
  };

  /** Reads one round over the partitions; answers whether anything came. */
  async function fetchRound(round: Position[]): Promise<boolean> {
    let any = false;
    for (const position of round) {
      while (!delivery.hasRoom() && !leaving && round === positions) await delivery.room(pollMs);
      if (leaving || round !== positions) return true;
      const records = store.read(position.topic, position.partition, position.next, readLimit);
      if (records.length === 0) continue;
      any = true;
      position.next = records.at(-1)!.offset + 1;
      delivery.push(records);
      await nextTurn();
    }
    return any;
  }

  /** Begins anew at what is committed; the consumer is well again from then on. */
  function rejoin(): void {
    if (leaving) return;
    groups.leave(group, member);
    groups.join(group, member);
  }

  /** What we would hand on is stored on the same disk as a rule. */
  async function waitForRoom(): Promise<void> {
    const shortage = await space.shortage();
    if (!shortage) return;
    open.log.warn({ group: options.group }, `the disk is full, waiting: ${describeError(shortage)}`);
    delivery.lost(shortage);
    while (!leaving && (await space.shortage())) await shared.changed(pollMs);
    rejoin();
  }

  async function fetchForEver(): Promise<void> {
    while (!leaving) {
      const seen = shared.version;
      try {
        await waitForRoom();
        const any = await fetchRound(positions);
        if (!any && !leaving && seen === shared.version) await shared.changed(pollMs);
        groups.refresh();
      } catch (error) {
        delivery.lost(error);
        open.log.error({ err: error, group: options.group }, 'reading the log failed, trying again');
        await shared.changed(pollMs);
        rejoin();
      }
    }
  }

  groups.join(group, member);
  const fetching = fetchForEver();
  return delivery.consumer;
}
