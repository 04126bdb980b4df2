import { openSpace, unavailable } from '@worktide/runtime';
import { createEventLog } from '../log.ts';
import type { Transport } from '../producer.ts';
import type { EventLog, OpenOptions } from '../types.ts';
import { createLmdbAdmin } from './admin.ts';
import { createLmdbConsumer } from './consumer.ts';
import { shareStore } from './shared.ts';

/**
 * The log in a folder of this machine; opened at once, for a disk that is away will not come back by itself.
 * @param reserveBytes of its disk are left free: below that nothing is taken, and consumers wait.
 */
export function openLmdb(folder: string, prefix: string, reserveBytes: number, open: OpenOptions): EventLog {
  const shared = shareStore(folder, open.log);
  const space = openSpace(folder, reserveBytes);

  const transport: Transport = {
    async transmit(batch) {
      const shortage = await space.shortage();
      if (shortage) throw shortage;
      await shared.store.append(batch.map(({ topic, records }) => ({ topic: prefix + topic, records })));
      shared.appended();
    },
    async close() {},
  };
  return createEventLog(
    {
      transport: () => transport,
      consumer: (options, hooks) => createLmdbConsumer(options, { ...hooks, shared, space, prefix, open }),
      admin: createLmdbAdmin(shared, prefix),
      async check() {
        try {
          shared.store.topics();
        } catch (error) {
          throw unavailable('event log', error);
        }
      },
      // One disk, whatever was asked.
      async checkReplication() {},
      close: shared.release,
    },
    open,
  );
}
