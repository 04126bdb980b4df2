import { parseArgs } from 'node:util';
import kafkajs from 'kafkajs';

/**
 * The least that a consumer on Node can do: kafkajs reads a topic to its end and JSON.parse takes each value, which
 * begins with the five bytes of the wire format. Says on stdout how many pings in how many seconds.
 */
const { values } = parseArgs({
  options: { broker: { type: 'string' }, topic: { type: 'string' }, records: { type: 'string' } },
});
const kafka = new kafkajs.Kafka({ brokers: [values.broker!], logLevel: kafkajs.logLevel.ERROR });
const consumer = kafka.consumer({
  groupId: `floor-${process.pid}-${Date.now()}`,
  maxWaitTimeInMs: 100,
  maxBytes: 8 * 1024 * 1024,
  maxBytesPerPartition: 1024 * 1024,
});
await consumer.connect();
await consumer.subscribe({ topics: [values.topic!], fromBeginning: true });
let pings = 0;
let records = 0;
let startedAt = 0;
await new Promise<void>((resolve, reject) => {
  consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  consumer
    .run({
      eachBatch: async ({ batch }) => {
        startedAt ||= performance.now();
        for (const { value } of batch.messages) {
          pings += (JSON.parse(value!.toString('utf8', 5)) as { pings: unknown[] }).pings.length;
        }
        records += batch.messages.length;
        if (records >= Number(values.records)) resolve();
      },
    })
    .catch(reject);
});
const { user, system } = process.cpuUsage();
process.stdout.write(
  JSON.stringify({ pings, seconds: (performance.now() - startedAt) / 1_000, cpuMicros: user + system }),
);
process.exit(0);
