import type { LogEntry } from 'kafkajs';
import { createEventLog } from '../log.ts';
import type { EventLog, OpenOptions } from '../types.ts';
import { createKafkaAdmin, createPinger } from './admin.ts';
import { createKafka } from './client.ts';
import { type Client, createClient, createSeeds } from './connections.ts';
import { createKafkaConsumer } from './consumer.ts';
import { attemptMs, createKafkaTransport } from './transport.ts';
import type { KafkaAddress } from './url.ts';

/** Below the two seconds that a readiness check may take. */
const pingTimeoutMs = 1_800;
const patient = { connectionTimeout: 3_000, requestTimeout: 10_000 };
const impatient = { connectionTimeout: pingTimeoutMs, requestTimeout: pingTimeoutMs };

/** Of kafkajs's own retries: none, or about four seconds of them. */
const never = { retries: 0, maxRetryTime: 100 };
const sometimes = { retries: 6, maxRetryTime: 1_000 };

/**
 * The log on Kafka. What outlasts a change of leader or a quick restart is told to callers (producers), or waited for
 * (consumers, which then join anew).
 */
export function openKafka({ brokers, prefix, security }: KafkaAddress, options: OpenOptions): EventLog {
  // Whoever makes a client of its own out of these has the credentials with them.
  const open = { ...options, security };
  const seeds = createSeeds(brokers, probe);
  const pingClient = (from: () => Promise<string[]>, log = open.log): Client =>
    createClient((socketFactory) => createKafka(from, { ...open, log }, never, { ...impatient, socketFactory }));
  // kafkajs shares a group's offsets between all consumers of one client object, so that two members in one process
  // would read each other's positions: every use gets a client of its own.
  const client = (onEntry?: (entry: LogEntry) => void): Client =>
    createClient((socketFactory) =>
      createKafka(seeds, { ...open, ...(onEntry ? { onEntry } : {}) }, sometimes, { ...patient, socketFactory }),
    );
  const producerClient = (): Client =>
    createClient((socketFactory) =>
      createKafka(seeds, open, never, { ...patient, requestTimeout: attemptMs, socketFactory }),
    );

  async function probe(broker: string): Promise<void> {
    // That one of several is away is no news.
    const { kafka, cut } = pingClient(async () => [broker], open.log.child({}, { level: 'silent' }));
    try {
      await kafka.admin().connect();
    } finally {
      cut();
    }
  }

  const { close: closeAdmin, checkReplication, ...admin } = createKafkaAdmin(client, prefix, open);
  const pinger = createPinger(() => pingClient(seeds), pingTimeoutMs);
  return createEventLog(
    {
      transport: () => createKafkaTransport(producerClient, prefix),
      consumer: (options, hooks) => createKafkaConsumer(options, { ...hooks, client, prefix, open }),
      admin,
      check: pinger.ping,
      checkReplication,
      close: async () => void (await Promise.all([closeAdmin(), pinger.close()])),
    },
    open,
  );
}
