import { backoffMs, sleep } from '@worktide/runtime';
import kafkajs, { type RecordMetadata, type TopicMessages } from 'kafkajs';
import { partitionFor } from '../partition.ts';
import type { Transport } from '../producer.ts';
import { answerIn } from './answers.ts';
import type { Client } from './connections.ts';
import { within } from './member.ts';

/** Below the ten seconds of the accumulator: whoever waits is told what was wrong. */
const deadlineMs = 9_000;
/** A broker that hangs is given up after this; longer than what a busy one takes. */
export const attemptMs = 5_000;
/** The leader gives up on its followers before we give up on the leader: then we know that it lives. */
const ackTimeoutMs = 4_000;

/** Partitions by topic. */
export type Asked = Map<string, Set<number>>;

/**
 * Sends batches to Kafka. `acks: -1`: all in-sync replicas have it. Two things of kafkajs lose acknowledged records:
 * - its retries: the answers of an attempt are kept by broker, so that a partition that has moved to a broker which
 *   has answered before is never sent. So it never retries; we do, and believe only answers for every partition;
 * - `idempotent: true`, when a response is lost. Without it some records come twice, which is harmless here.
 */
export function createKafkaTransport(client: () => Client, prefix: string): Transport {
  let link: Link | undefined;
  let closed = false;

  function giveUp(): void {
    link?.cut();
    link = undefined;
  }

  return {
    async transmit(batch) {
      const end = performance.now() + deadlineMs;
      const topicMessages = batch.map(({ topic, records }) => ({ topic: prefix + topic, messages: records }));
      for (let attempt = 0; ; attempt++) {
        try {
          link ??= openLink(client());
          await within(Math.min(attemptMs, end - performance.now()), link.send(topicMessages));
          return;
        } catch (error) {
          const answer = answerIn(error);
          // Where the broker did not even say why not, or kafkajs says something odd, nothing of the connections is trusted.
          if (!answer) giveUp();
          const pause = backoffMs(attempt, 50, 1_000);
          if (closed || (answer && !answer.retriable) || performance.now() + pause >= end) throw error;
          await sleep(pause);
        }
      }
    },
    async close() {
      closed = true;
      await link?.close();
      giveUp();
    },
  };
}

interface Link {
  send(topicMessages: TopicMessages[]): Promise<void>;
  close(): Promise<void>;
  cut(): void;
}

function openLink({ kafka, cut }: Client): Link {
  let asked: Asked = new Map();
  const producer = kafka.producer({
    idempotent: false,
    allowAutoTopicCreation: false,
    retry: { retries: 0 },
    createPartitioner:
      () =>
      ({ topic, partitionMetadata, message }) => {
        const partition = partitionFor(String(message.key), partitionMetadata.length);
        asked.get(topic)!.add(partition);
        return partition;
      },
  });
  const connected = producer.connect();
  connected.catch(() => {});
  return {
    async send(topicMessages) {
      await connected;
      asked = new Map(topicMessages.map(({ topic }) => [topic, new Set()]));
      const { None: compression } = kafkajs.CompressionTypes;
      assertAnswered(asked, await producer.sendBatch({ acks: -1, timeout: ackTimeoutMs, compression, topicMessages }));
    },
    close: () => within(attemptMs, producer.disconnect()).catch(() => {}),
    cut,
  };
}

/** @throws Error unless every partition asked has its offset in the answers. */
export function assertAnswered(asked: Asked, answers: RecordMetadata[]): void {
  const missing = new Map([...asked].map(([topic, partitions]) => [topic, new Set(partitions)]));
  for (const { topicName, partition, errorCode, baseOffset } of answers) {
    if (errorCode === 0 && Number(baseOffset ?? -1) >= 0) missing.get(topicName)?.delete(partition);
  }
  for (const [topic, partitions] of missing) {
    if (partitions.size > 0) throw new Error(`no offset for partitions ${[...partitions].join(', ')} of ${topic}`);
  }
}
