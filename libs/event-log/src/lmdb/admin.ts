import { AppError, unavailable } from '@worktide/runtime';
import type { LogAdmin } from '../types.ts';
import type { SharedStore } from './shared.ts';
import type { StoredTopic } from './store.ts';

/** Most bytes that one `read` collects at a time. */
const readBytes = 1024 * 1024;

export function createLmdbAdmin({ store, groups }: SharedStore, prefix: string): LogAdmin {
  function topicOf(name: string): StoredTopic {
    const topic = store.topic(prefix + name);
    if (!topic) throw unavailable('event log', new Error(`no topic ${name}`));
    return topic;
  }

  function lagOf(group: string, name: string): number {
    const topic = topicOf(name);
    let lag = 0;
    for (let partition = 0; partition < topic.partitions; partition++) {
      const committed = store.committed(prefix + group, topic.name, partition) ?? 0;
      lag += Math.max(0, store.end(topic, partition) - Math.max(committed, store.start(topic, partition)));
    }
    return lag;
  }

  return {
    async ensureTopics(topics) {
      await store.ensureTopics(topics.map((topic) => ({ ...topic, name: prefix + topic.name })));
      groups.refresh();
    },
    async topicNames() {
      const names = store.topics().map(({ name }) => name);
      return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
    },
    async lag(group, topics) {
      return Object.fromEntries(topics.map((topic) => [topic, lagOf(group, topic)]));
    },
    async resetGroup(group, name, to) {
      if (groups.isActive(prefix + group)) {
        throw new AppError('GROUP_ACTIVE', 'The group has a running consumer; stop it first.', { statusCode: 409 });
      }
      const topic = topicOf(name);
      const offsets = Array.from({ length: topic.partitions }, (_, partition) => ({
        topic: topic.name,
        partition,
        offset: to === 'earliest' ? store.start(topic, partition) : store.end(topic, partition),
      }));
      await store.commit(prefix + group, offsets);
    },
    async read(name, { partition, fromOffset, limit }) {
      const topic = { ...topicOf(name), name };
      const records = [];
      for (let next = fromOffset; records.length < limit; ) {
        const part = store.read(topic, partition, next, { records: limit - records.length, bytes: readBytes });
        if (part.length === 0) break;
        records.push(...part);
        next = part.at(-1)!.offset + 1;
      }
      return records;
    },
  };
}
