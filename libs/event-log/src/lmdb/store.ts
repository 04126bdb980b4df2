import { mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { AppError, freeBytes, storageFull, unavailable } from '@worktide/runtime';
import { open, type RootDatabaseOptionsWithPath } from 'lmdb';
import type { TopicRecords } from '../accumulator.ts';
import type { PartitionOffset } from '../delivery.ts';
import { partitionFor } from '../partition.ts';
import type { StoredRecord, TopicSettings } from '../types.ts';
import { decodeRecord, encodeRecord, offsetOf, partitionKey, recordKey, timestampOf } from './encoding.ts';

export interface StoredTopic extends TopicSettings {
  id: number;
}

/** The log's data in one LMDB environment. Names are whole, prefix included. */
export interface Store {
  ensureTopics(topics: TopicSettings[]): Promise<void>;
  topic(name: string): StoredTopic | undefined;
  topics(): StoredTopic[];
  /** Resolves when all records are on disk. Rejects, storing none, where a topic does not exist. */
  append(batch: TopicRecords[]): Promise<void>;
  /** A partition's records from an offset on, bounded by count and by bytes of values (at least one, if there is one). */
  read(topic: StoredTopic, partition: number, fromOffset: number, limit: ReadLimit): StoredRecord[];
  /** The offset of the oldest record kept; `end` where none is. */
  start(topic: StoredTopic, partition: number): number;
  /** The offset that the next record gets. */
  end(topic: StoredTopic, partition: number): number;
  committed(group: string, topic: string, partition: number): number | undefined;
  commit(group: string, offsets: PartitionOffset[]): Promise<void>;
  /** Removes at most `limit` records past their topic's retention; answers how many. */
  trim(now: number, limit: number): Promise<number>;
  close(): Promise<void>;
}

export interface ReadLimit {
  records: number;
  bytes: number;
}

/** What a key has room for, see `recordKey`. */
const maxTopicId = 0xffff;
/** More than any transaction of ours writes. */
const roomOfOneWrite = 16 * 1024 * 1024;

export function openStore(folder: string): Store {
  mkdirSync(folder, { recursive: true });
  // With batches by turn a failed commit rejects a promise of lmdb's own as well, which nobody can handle.
  const options: RootDatabaseOptionsWithPath & { eventTurnBatching: boolean } = {
    path: folder,
    noSubdir: false,
    maxDbs: 8,
    eventTurnBatching: false,
  };
  const environment = open(options);
  const records = environment.openDB<Buffer, Buffer>({ name: 'records', keyEncoding: 'binary', encoding: 'binary' });
  const ends = environment.openDB<number, Buffer>({ name: 'ends', keyEncoding: 'binary', encoding: 'json' });
  const topics = environment.openDB<StoredTopic, string>({ name: 'topics', encoding: 'json' });
  const groups = environment.openDB<number, [string, string, number]>({ name: 'groups', encoding: 'json' });

  const end = (topic: StoredTopic, partition: number): number => ends.get(partitionKey(topic.id, partition)) ?? 0;

  function range(topic: StoredTopic, partition: number, fromOffset: number, limit: number) {
    return records.getRange({
      start: recordKey(topic.id, partition, fromOffset),
      end: recordKey(topic.id, partition, 2 ** 48 - 1),
      limit,
    });
  }

  function start(topic: StoredTopic, partition: number): number {
    for (const { key } of range(topic, partition, 0, 1)) return offsetOf(key);
    return end(topic, partition);
  }

  /** Runs inside a write transaction, where other processes' writes are seen and cannot interfere. */
  function put(topic: StoredTopic, batch: TopicRecords['records'], timestamp: number): void {
    const next = new Map<number, number>();
    for (const record of batch) {
      const partition = partitionFor(record.key, topic.partitions);
      const offset = next.get(partition) ?? end(topic, partition);
      records.put(recordKey(topic.id, partition, offset), encodeRecord(record, timestamp));
      next.set(partition, offset + 1);
    }
    for (const [partition, offset] of next) ends.put(partitionKey(topic.id, partition), offset);
  }

  /**
   * The transaction's work runs here, its commit and fsync on lmdb's own thread, so that a slow disk does not stop
   * the event loop. `flushed` is what makes it durable.
   */
  async function transact(work: () => void): Promise<void> {
    let failure: unknown;
    const committed = environment.transaction(() => {
      // An error thrown in here would not undo what others put into the same transaction, nor reach our caller as is.
      try {
        work();
      } catch (error) {
        failure = error;
      }
    });
    // Asked for now, it is of this transaction. Later it would be the next one's, and never come where that one fails.
    const flushed = new Promise((resolve, reject) => environment.flushed.then(resolve, reject));
    flushed.catch(() => {});
    await committed.catch(async (error: unknown) => {
      throw await reasonOf(error);
    });
    if (failure) throw failure;
    await flushed;
  }

  /** Why a commit failed: lmdb tells it in another promise, which has to be handled besides. */
  async function reasonOf(error: unknown): Promise<unknown> {
    const { commitError } = error as { commitError?: Promise<never> };
    const cause = commitError ? await commitError.catch((reason: unknown) => reason) : error;
    const { code } = cause as { code?: unknown };
    const { ENOSPC, EDQUOT, EIO } = constants.errno;
    // A write that came to an end in the middle is EIO to LMDB, and hardly anything but a full disk does that.
    const cutShort = code === EIO && (await freeBytes(folder).catch(() => 0)) < roomOfOneWrite;
    return code === ENOSPC || code === EDQUOT || cutShort ? storageFull(cause) : unavailable('event log', cause);
  }

  function nextTopicId(): number {
    const used = [...topics.getRange()].map(({ value }) => value.id);
    const id = Math.max(0, ...used) + 1;
    if (id > maxTopicId) throw new AppError('TOO_MANY_TOPICS', 'The log can hold no more topics.');
    return id;
  }

  return {
    ensureTopics: (wanted) =>
      transact(() => {
        for (const { name, partitions, retentionMs } of wanted) {
          const known = topics.get(name);
          const settings = { name, partitions: Math.max(partitions, known?.partitions ?? 0), retentionMs };
          if (known?.partitions === settings.partitions && known.retentionMs === retentionMs) continue;
          topics.put(name, { id: known?.id ?? nextTopicId(), ...settings });
        }
      }),
    topic: (name) => topics.get(name),
    topics: () => [...topics.getRange()].map(({ value }) => value),
    append: (batch) => {
      const timestamp = Date.now();
      return transact(() => {
        const known = batch.map(({ topic }) => topics.get(topic));
        const missing = known.indexOf(undefined);
        if (missing >= 0) throw new Error(`no topic ${batch[missing]!.topic}`);
        for (const [i, { records: given }] of batch.entries()) put(known[i]!, given, timestamp);
      });
    },
    read(topic, partition, fromOffset, limit) {
      const found: StoredRecord[] = [];
      let bytes = 0;
      for (const { key, value } of range(topic, partition, fromOffset, limit.records)) {
        found.push(decodeRecord(topic.name, partition, offsetOf(key), value));
        bytes += value.length;
        if (bytes >= limit.bytes) break;
      }
      return found;
    },
    start,
    end,
    committed: (group, topic, partition) => groups.get([group, topic, partition]),
    commit: (group, offsets) =>
      transact(() => {
        for (const { topic, partition, offset } of offsets) groups.put([group, topic, partition], offset);
      }),
    async trim(now, limit) {
      const expired: Buffer[] = [];
      for (const topic of [...topics.getRange()].map(({ value }) => value)) {
        for (let partition = 0; partition < topic.partitions; partition++) {
          for (const { key, value } of range(topic, partition, 0, limit)) {
            if (expired.length === limit || timestampOf(value) >= now - topic.retentionMs) break;
            expired.push(key);
          }
        }
      }
      if (expired.length > 0) {
        await transact(() => {
          for (const key of expired) records.remove(key);
        });
      }
      return expired.length;
    },
    async close() {
      // lmdb waits for its last transaction to be flushed; one that failed never is. One of nothing needs no disk.
      await transact(() => {});
      await environment.close();
    },
  };
}
