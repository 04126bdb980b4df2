import { resolve } from 'node:path';
import { type Logger, sleep } from '@worktide/runtime';
import { createSignal } from '../signal.ts';
import { createGroups, type Groups } from './groups.ts';
import { openStore, type Store } from './store.ts';

/** What everything in this process that opened the same folder has in common. */
export interface SharedStore {
  store: Store;
  groups: Groups;
  /** Rises with every append of this process. */
  readonly version: number;
  appended(): void;
  /** Resolves at the next append of this process, or after `ms`. */
  changed(ms: number): Promise<void>;
  /** The last one to let go closes the environment. */
  release(): Promise<void>;
}

const trimEveryMs = 10_000;
/** A write transaction holds all writers up: this many removals take about 10 ms. */
const trimAtOnce = 2_000;

/**
 * The one place with module state: an LMDB environment must not be open twice in a process, and the members of a
 * group have to find each other there.
 */
const shared = new Map<string, { value: SharedStore; users: number }>();

export function shareStore(folder: string, log: Logger): SharedStore {
  const path = resolve(folder);
  const known = shared.get(path);
  if (known) {
    known.users++;
    return known.value;
  }
  const value = create(path, log, () => {
    const entry = shared.get(path)!;
    if (--entry.users > 0) return false;
    shared.delete(path);
    return true;
  });
  shared.set(path, { value, users: 1 });
  return value;
}

function create(path: string, log: Logger, isLast: () => boolean): SharedStore {
  const store = openStore(path);
  const append = createSignal();
  const closing = new AbortController();
  let version = 0;
  const trimming = trimForEver();

  async function trimForEver(): Promise<void> {
    while (!closing.signal.aborted) {
      await sleep(trimEveryMs, closing.signal);
      try {
        while (!closing.signal.aborted && (await store.trim(Date.now(), trimAtOnce)) === trimAtOnce) {
          await sleep(10, closing.signal);
        }
      } catch (error) {
        log.error({ err: error }, 'removing expired records failed, trying again later');
      }
    }
  }

  return {
    store,
    groups: createGroups(store.topic),
    get version() {
      return version;
    },
    appended() {
      version++;
      append.notify();
    },
    changed: append.wait,
    async release() {
      if (!isLast()) return;
      closing.abort();
      await trimming;
      await store.close();
    },
  };
}
