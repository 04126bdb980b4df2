import { backoffMs, sleep } from '@worktide/runtime';
import kafkajs, { type EachBatchHandler, type Consumer as KafkaConsumer } from 'kafkajs';
import type { Client } from './connections.ts';

/** About five seconds, which is what a coordinator needs to load its groups. */
const joinRetries = 10;
/** How long leaving may take, e.g. of a broker that hangs. */
const leaveMs = 5_000;

/**
 * Joins a group alone, does something as its member, leaves. Tried again while the coordinator is not ready, as after
 * a broker's restart: unlike its other calls, kafkajs does not repeat a join by itself. So `work` may run twice.
 */
export async function asMember(
  client: () => Client,
  groupId: string,
  topic: string,
  work: (consumer: KafkaConsumer) => Promise<void>,
  eachBatch: EachBatchHandler = async () => {},
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { kafka, cut } = client();
    const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, allowAutoTopicCreation: false });
    const { promise: failed, reject: fail } = Promise.withResolvers<never>();
    const { promise: joined, resolve: join } = Promise.withResolvers<void>();
    failed.catch(() => {});
    consumer.on('consumer.crash', ({ payload }) => fail(payload.error));
    consumer.on('consumer.group_join', () => join());
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatch });
      await Promise.race([joined, failed]);
      return await Promise.race([work(consumer), failed]);
    } catch (error) {
      const retriable = error instanceof kafkajs.KafkaJSError && error.retriable;
      if (!retriable || attempt >= joinRetries) throw error;
      await sleep(backoffMs(attempt, 100, 1_000));
    } finally {
      await disconnect(consumer, cut);
    }
  }
}

/** Leaves in order where that is possible, and in any case. */
export async function disconnect(consumer: KafkaConsumer, cut: () => void): Promise<void> {
  await settles(consumer.disconnect(), leaveMs);
  cut();
}

/** What work comes to. @throws what it throws, or an Error where it takes longer; it may still fail then, unheard. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  if (!(await settles(work, ms))) throw new Error(`no answer within ${Math.round(ms)} ms`);
  return work;
}

/** Waits until something is over, one way or the other, but no longer than that. @returns whether it is. */
export async function settles(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  // Not a sleep that is aborted: each would make an error, and this is asked of every batch that is sent.
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([work.then(isOver, isOver), late]);
  } finally {
    clearTimeout(timer);
  }
}

const isOver = (): boolean => true;
