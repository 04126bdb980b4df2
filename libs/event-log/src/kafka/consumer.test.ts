import { expect, test } from '@jest/globals';
import { createMetrics, silentLogger } from '@worktide/runtime';
import type { EachBatchPayload, Kafka } from 'kafkajs';
import { createKafkaConsumer } from './consumer.ts';

type Listener = (event: { payload: unknown }) => void;

/** What kafkajs does around one record: `commitOffsets` may resolve without having asked anybody. */
function kafkajsWithOneRecord(commit: (committed: () => void) => void): Kafka {
  const listeners = new Map<string, Listener>();
  const emit = (name: string, payload: unknown = {}) => listeners.get(name)?.({ payload });
  const events = { GROUP_JOIN: 'join', HEARTBEAT: 'heartbeat', COMMIT_OFFSETS: 'commit', CRASH: 'crash' };
  const message = { key: Buffer.from('k'), value: Buffer.from('v'), offset: '7', timestamp: '1', headers: {} };
  const batch = { topic: 'events', partition: 0, messages: [message], firstOffset: () => '7', lastOffset: () => '7' };
  const consumer = {
    events,
    on: (name: string, listener: Listener) => void listeners.set(name, listener),
    connect: async () => {},
    subscribe: async () => {},
    async run({ eachBatch }: { eachBatch: (payload: EachBatchPayload) => Promise<void> }) {
      emit(events.GROUP_JOIN, { memberAssignment: { events: [0] } });
      await eachBatch({ batch, resolveOffset: () => {}, isRunning: () => true } as unknown as EachBatchPayload);
    },
    commitOffsets: async () => commit(() => emit(events.COMMIT_OFFSETS)),
    disconnect: async () => {},
  };
  return { consumer: () => consumer } as unknown as Kafka;
}

test('a commit that kafkajs resolves without having made it is none, and is tried again', async () => {
  let asked = 0;
  const { promise: made, resolve } = Promise.withResolvers<void>();
  const kafka = kafkajsWithOneRecord((committed) => {
    if (++asked < 3) return;
    committed();
    resolve();
  });
  const metrics = createMetrics();
  const consumer = createKafkaConsumer(
    { group: 'group', topics: ['events'], handle: async () => {} },
    {
      client: () => ({ kafka, cut: () => {} }),
      prefix: '',
      open: { clientId: 'test', log: silentLogger(), metrics },
      lag: async () => ({}),
      writeDeadLetter: async () => {},
      onClosed: () => {},
    },
  );
  await made;
  await consumer.close();
  expect(asked).toBe(3);
  expect((await metrics.render()).text).toContain('worktide_consumer_records_total{group="group",topic="events"} 1');
});
