import { createEventLog } from '../log.ts';
import type { EventLog, OpenOptions } from '../types.ts';
import { createKafkaAdmin, createPinger } from './admin.ts';
import { createKafka } from './client.ts';
import { createKafkaConsumer } from './consumer.ts';
import { createKafkaTransport } from './transport.ts';
import type { KafkaAddress } from './url.ts';

/**
 * The log on Kafka. Retries inside kafkajs bridge a change of leader or a quick restart; what lasts longer is told
 * to callers (producers), or waited for (consumers, which then join anew).
 */
export function openKafka({ brokers, prefix, security }: KafkaAddress, options: OpenOptions): EventLog {
  // Whoever makes a client of its own out of these has the credentials with them.
  const open = { ...options, security };
  // kafkajs shares a group's offsets between all consumers of one client object, so that two members in one process
  // would read each other's positions: every use gets a client of its own.
  const client = () => createKafka(brokers, open, { retries: 6, maxRetryTime: 1_000 });
  const { close: closeAdmin, ...admin } = createKafkaAdmin(client, prefix);
  const pinger = createPinger(brokers, open);
  return createEventLog(
    {
      transport: () => createKafkaTransport(client(), prefix),
      consumer: (options, hooks) => createKafkaConsumer(options, { ...hooks, client, prefix, open }),
      admin,
      check: pinger.ping,
      close: async () => void (await Promise.all([closeAdmin(), pinger.close()])),
    },
    open,
  );
}
