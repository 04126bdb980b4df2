import { sleep } from '@worktide/runtime';
import kafkajs from 'kafkajs';
import type { EventLog, StoredRecord } from '../types.ts';

/** Senders that note what was acknowledged, each record with a number of its own. */
export interface Senders {
  /** Numbers in the order of their acknowledgement; those of one key are in the order of sending. */
  acknowledged: number[];
  /** Sends that were refused; their records may be in the log or not. */
  readonly refused: number;
  /** Resolves when every sender has had its last answer. */
  stop(): Promise<void>;
}

/** Each sender has a key of its own and sends its next record when the one before was answered. */
export function startSenders(log: EventLog, topic: string, count: number): Senders {
  const producer = log.producer();
  const acknowledged: number[] = [];
  let next = 0;
  let refused = 0;
  let stopped = false;

  async function work(key: string): Promise<void> {
    while (!stopped) {
      const n = next++;
      try {
        await producer.send(topic, [{ key, value: Buffer.from(String(n)) }]);
        acknowledged.push(n);
      } catch {
        refused++;
        await sleep(50);
      }
    }
  }

  const working = Array.from({ length: count }, (_, i) => work(`sender-${i}`));
  return {
    acknowledged,
    get refused() {
      return refused;
    },
    async stop() {
      stopped = true;
      await Promise.all(working);
      await producer.close();
    },
  };
}

/** What the oracle read: every record of a topic, by partition, in order. */
export interface Stored {
  key: string;
  number: number;
}

/** Everything that is in a topic, read with kafkajs alone: none of what is tested has a part in it. */
export async function readTopic(brokers: string[], topic: string): Promise<Stored[]> {
  const kafka = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING });
  const admin = kafka.admin();
  const consumer = kafka.consumer({ groupId: `oracle-${topic}`, maxWaitTimeInMs: 200 });
  try {
    await admin.connect();
    const ends = await admin.fetchTopicOffsets(topic);
    const missing = new Set(ends.filter(({ low, high }) => low !== high).map(({ partition }) => partition));
    const last = new Map(ends.map(({ partition, high }) => [partition, Number(high) - 1]));
    const records: Stored[] = [];
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    if (missing.size === 0) resolve();
    consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      eachBatch: async ({ batch }) => {
        for (const { key, value } of batch.messages) records.push({ key: String(key), number: Number(value) });
        if (Number(batch.lastOffset()) >= last.get(batch.partition)!) missing.delete(batch.partition);
        if (missing.size === 0) resolve();
      },
    });
    await done;
    return records;
  } finally {
    await consumer.disconnect();
    await admin.disconnect();
  }
}

/** Of each key the numbers in the order in which they were first met. */
export function firstMet(records: Iterable<Stored>): Map<string, number[]> {
  const met = new Map<string, Set<number>>();
  for (const { key, number } of records) {
    const numbers = met.get(key) ?? new Set();
    numbers.add(number);
    met.set(key, numbers);
  }
  return new Map([...met].map(([key, numbers]) => [key, [...numbers]]));
}

export const toStored = ({ key, value }: StoredRecord): Stored => ({ key, number: Number(value) });
