import { randomUUID } from 'node:crypto';
import { AppError, unavailable } from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import type { Admin } from 'kafkajs';
import type { LogAdmin, OpenOptions, StoredRecord } from '../types.ts';
import { answerIn } from './answers.ts';
import type { Client } from './connections.ts';
import { createEndsReader } from './ends.ts';
import { asMember, settles, within } from './member.ts';
import { toRecord } from './records.ts';
import { ensureTopics, weakTopics } from './topics.ts';

/** A reader that gets nothing for so long is not waited for any longer. */
const stalledMs = 20_000;
const disconnectMs = 2_000;
/** Copies change when an operator changes them. */
const lookEveryMs = 60_000;

export interface KafkaAdmin extends LogAdmin {
  checkReplication(): Promise<void>;
  close(): Promise<void>;
}

/** Lag, offsets and topics through one lazily made admin connection. Errors are `unavailable` with their cause. */
export function createKafkaAdmin(client: () => Client, prefix: string, open: OpenOptions): KafkaAdmin {
  const connection = lazyAdmin(client);
  const ends = createEndsReader();
  /** Topics with too few copies, as last seen. */
  let weak: string[] = [];
  let lookedAt = 0;
  const topicsDependencies = { ends, replication: open.replication ?? {}, log: open.log };

  async function using<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = await connection.get().catch((error) => Promise.reject(unavailable('event log', error)));
    try {
      return await work(admin);
    } catch (error) {
      if (error instanceof AppError) throw error;
      // A broker that hangs, or tells what is long over, is not asked again.
      if (!answerIn(error)) connection.giveUp(admin);
      throw unavailable('event log', error);
    }
  }

  async function look(): Promise<void> {
    lookedAt = Date.now();
    const names = allTopics().map(({ name }) => prefix + name);
    try {
      weak = await using((admin) => weakTopics(admin, names, topicsDependencies.replication));
    } catch (err) {
      lookedAt = 0;
      open.log.debug({ err }, 'the copies of the topics are not known');
    }
  }

  async function lagOf(admin: Admin, group: string, topic: string): Promise<number> {
    // In this order: what is committed in between has been written in between as well.
    const [committed] = await admin.fetchOffsets({ groupId: prefix + group, topics: [prefix + topic] });
    const offsets = new Map(committed?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    let lag = 0;
    for (const { partition, low, high } of await ends.read(admin, prefix + topic)) {
      const offset = offsets.get(partition) ?? -1;
      if (offset > high)
        throw new Error(`${group} has read ${topic}/${partition} to ${offset}, and it ends at ${high}`);
      // Before its first commit a group starts at the beginning; what retention dropped is no lag either.
      lag += high - Math.max(low, offset);
    }
    return lag;
  }

  async function resetGroup(admin: Admin, group: string, topic: string, to: 'earliest' | 'latest'): Promise<void> {
    const groupId = prefix + group;
    const { groups } = await admin.describeGroups([groupId]);
    const state = groups.find((one) => one.groupId === groupId)?.state;
    if (state !== 'Empty' && state !== 'Dead') {
      throw new AppError('GROUP_ACTIVE', 'The group has a running consumer; stop it first.', { statusCode: 409 });
    }
    const wanted = (await ends.read(admin, prefix + topic)).map(({ partition, low, high }) => ({
      topic: prefix + topic,
      partition,
      offset: String(to === 'earliest' ? low : high),
    }));
    // As a member for a moment: kafkajs's own setOffsets does the same and takes five seconds.
    await asMember(client, groupId, prefix + topic, (consumer) => consumer.commitOffsets(wanted));
    // kafkajs says nothing where it has not committed.
    const [committed] = await admin.fetchOffsets({ groupId, topics: [prefix + topic] });
    const offsets = new Map(committed?.partitions.map(({ partition, offset }) => [partition, offset]));
    const missed = wanted.find(({ partition, offset }) => offsets.get(partition) !== offset);
    if (missed) throw new Error(`the offset of ${topic}/${missed.partition} is ${offsets.get(missed.partition)}`);
  }

  async function read(
    admin: Admin,
    topic: string,
    { partition, fromOffset, limit }: { partition: number; fromOffset: number; limit: number },
  ): Promise<StoredRecord[]> {
    const all = await ends.read(admin, prefix + topic);
    const end = all.find((one) => one.partition === partition);
    const from = Math.max(fromOffset, end?.low ?? 0);
    const last = (end?.high ?? 0) - 1;
    if (from > last || limit < 1) return [];
    const records: StoredRecord[] = [];
    const { promise: done, resolve } = Promise.withResolvers<void>();
    let batches = 0;
    await asMember(
      client,
      `${prefix}worktide-read-${randomUUID()}`,
      prefix + topic,
      async (consumer) => {
        const others = all.map((one) => one.partition).filter((one) => one !== partition);
        if (others.length > 0) consumer.pause([{ topic: prefix + topic, partitions: others }]);
        consumer.seek({ topic: prefix + topic, partition, offset: String(from) });
        // What was cut off meanwhile never comes.
        let before: number;
        do {
          before = batches;
          if (await settles(done, stalledMs)) return;
        } while (batches !== before);
        throw new Error(`reading ${topic}/${partition} from ${from} to ${last} got stuck`);
      },
      async ({ batch }) => {
        if (batch.partition !== partition) return;
        batches++;
        for (const message of batch.messages) {
          const offset = Number(message.offset);
          // The first fetch may have left before the seek took hold, so that some come twice.
          const next = records.length === 0 ? from : records.at(-1)!.offset + 1;
          if (offset >= next && offset <= last && records.length < limit) {
            records.push(toRecord(topic, partition, message));
          }
        }
        if (records.length >= limit || Number(batch.lastOffset()) >= last) resolve();
      },
    );
    return records;
  }

  return {
    ensureTopics: (topics) =>
      using((admin) =>
        ensureTopics(
          admin,
          topics.map((topic) => ({ ...topic, name: prefix + topic.name })),
          topicsDependencies,
        ),
      ),
    async checkReplication() {
      if (Date.now() - lookedAt > lookEveryMs) void look();
      if (weak.length > 0) throw new Error(`topics with fewer copies than asked: ${weak.join(', ')}`);
    },
    topicNames: () =>
      using(async (admin) => {
        const names = await admin.listTopics();
        return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
      }),
    lag: (group, topics) =>
      using(async (admin) =>
        Object.fromEntries(
          await Promise.all(topics.map(async (topic) => [topic, await lagOf(admin, group, topic)] as const)),
        ),
      ),
    resetGroup: (group, topic, to) => using((admin) => resetGroup(admin, group, topic, to)),
    read: (topic, options) => using((admin) => read(admin, topic, options)),
    close: connection.close,
  };
}

/** Answers in time whether a broker answers, on a connection of its own that never retries. */
export function createPinger(
  client: () => Client,
  timeoutMs: number,
): { ping(): Promise<void>; close(): Promise<void> } {
  const connection = lazyAdmin(client);
  let running: Promise<void> | undefined;

  async function ask(): Promise<void> {
    const admin = await connection.get();
    try {
      await admin.describeCluster();
    } catch (error) {
      connection.giveUp(admin);
      throw error;
    }
  }

  async function ping(): Promise<void> {
    try {
      await within(timeoutMs, ask());
    } catch (error) {
      throw unavailable('event log', error);
    }
  }

  return {
    ping() {
      running ??= ping().finally(() => {
        running = undefined;
      });
      return running;
    },
    close: connection.close,
  };
}

interface LazyAdmin {
  get(): Promise<Admin>;
  /** The next one who asks gets another one. */
  giveUp(admin: Admin): void;
  close(): Promise<void>;
}

function lazyAdmin(client: () => Client): LazyAdmin {
  let connecting: Promise<Admin> | undefined;
  const cuts = new Map<Admin, () => void>();

  async function connect(): Promise<Admin> {
    const { kafka, cut } = client();
    const admin = kafka.admin();
    try {
      await admin.connect();
    } catch (error) {
      connecting = undefined;
      cut();
      throw error;
    }
    cuts.set(admin, cut);
    return admin;
  }

  function giveUp(admin: Admin): void {
    const cut = cuts.get(admin);
    if (!cut) return;
    cuts.delete(admin);
    connecting = undefined;
    cut();
  }

  return {
    get() {
      connecting ??= connect();
      return connecting;
    },
    giveUp,
    async close() {
      const admin = await connecting?.catch(() => undefined);
      if (!admin) return;
      await settles(admin.disconnect(), disconnectMs);
      giveUp(admin);
    },
  };
}
