import kafkajs, { type Kafka, type Producer as KafkaProducer } from 'kafkajs';
import { partitionFor } from '../partition.ts';
import type { Transport } from '../producer.ts';

/**
 * Sends batches to Kafka. `idempotent: false`, for kafkajs loses acknowledged records with it when a response is lost
 * (engines.md); without it some come twice, which is harmless here. `acks: -1`: all in-sync replicas have it.
 */
export function createKafkaTransport(kafka: Kafka, prefix: string): Transport {
  let producer: KafkaProducer | undefined;
  let connecting: Promise<KafkaProducer> | undefined;

  async function connect(): Promise<KafkaProducer> {
    const fresh = kafka.producer({
      idempotent: false,
      allowAutoTopicCreation: false,
      createPartitioner:
        () =>
        ({ partitionMetadata, message }) =>
          partitionFor(String(message.key), partitionMetadata.length),
    });
    await fresh.connect();
    producer = fresh;
    return fresh;
  }

  return {
    async transmit(batch) {
      if (!producer) {
        connecting ??= connect().finally(() => {
          connecting = undefined;
        });
        await connecting;
      }
      await producer!.sendBatch({
        acks: -1,
        timeout: 10_000,
        compression: kafkajs.CompressionTypes.None,
        topicMessages: batch.map(({ topic, records }) => ({ topic: prefix + topic, messages: records })),
      });
    },
    async close() {
      await connecting?.catch(() => {});
      await producer?.disconnect();
    },
  };
}
