import type { BatchContext, StoredRecord } from '@worktide/event-log';
import { type Codec, createCodec, readRecord, type SchemaRegistry, type TopicName, topics } from '@worktide/schemas';
import type { z } from 'zod';

/** A record of one of these topics, as its schema has it. */
export type Told<T extends TopicName> = {
  [K in T]: { topic: K; at: number; data: z.output<(typeof topics)[K]['schema']> };
}[T];

export interface TopicReader<T extends TopicName> {
  topics: T[];
  /** Registers what is missing; see `ConsumeOptions.ready`. */
  prepare(): Promise<void>;
  /**
   * What a batch says, in its order. What can never be read is set aside.
   * @throws 503 as `Codec.decode`.
   */
  read(batch: readonly StoredRecord[], context: Pick<BatchContext, 'deadLetter'>): Told<T>[];
}

/** Reads records of several topics in one consumer. */
export function createTopicReader<const T extends TopicName>(registry: SchemaRegistry, names: T[]): TopicReader<T> {
  const codecs = new Map<string, Codec>(names.map((name) => [name, createCodec(registry, topics[name])]));
  return {
    topics: names,
    async prepare() {
      for (const codec of codecs.values()) await codec.prepare();
    },
    read(batch, context) {
      return batch.flatMap((record) => {
        const topic = record.topic as T;
        const read = readRecord(codecs.get(topic)!, record.value, topics[topic].schema);
        if ('unusable' in read) {
          context.deadLetter(record, read.unusable);
          return [];
        }
        return [{ topic, at: record.timestamp, data: read.data } as Told<T>];
      });
    },
  };
}
