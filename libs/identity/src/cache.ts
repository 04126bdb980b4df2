/**
 * A bounded map that forgets what was not used lately, in two generations: when the young one is full it becomes the
 * old one and what was old is gone. A hit costs one lookup and, at most once a generation, one insert; a strict LRU
 * would delete and insert on every request.
 */
export interface Cache<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  delete(key: string): void;
  /** Deletes every entry for which it says true; scans everything. */
  deleteWhere(doomed: (value: V) => boolean): void;
  readonly size: number;
}

/** @param max entries at most, at least half of which are always kept. */
export function createCache<V>(max: number): Cache<V> {
  const generation = Math.max(1, Math.floor(max / 2));
  let young = new Map<string, V>();
  let old = new Map<string, V>();

  const set = (key: string, value: V): void => {
    if (young.size >= generation && !young.has(key)) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
    old.delete(key);
  };

  return {
    get(key) {
      const value = young.get(key);
      if (value !== undefined) return value;
      const older = old.get(key);
      if (older !== undefined) set(key, older);
      return older;
    },
    set,
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
    deleteWhere(doomed) {
      for (const map of [young, old]) {
        for (const [key, value] of map) if (doomed(value)) map.delete(key);
      }
    },
    get size() {
      return young.size + old.size;
    },
  };
}
