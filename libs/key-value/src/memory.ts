import { unavailable } from '@worktide/runtime';
import { checkBy, checkKey, checkTtl, checkValue, notACounter } from './limits.ts';
import { createListeners } from './listeners.ts';
import type { KeyValue, KeyValueOptions } from './types.ts';

interface Entry {
  value: string;
  /** On the monotonic clock. */
  expiresAt: number;
}

/** Keys at most; past it what has expired goes first, then what was set longest ago. */
const defaultMaxKeys = 100_000;

/** A store of this instance alone: two in one process share nothing. */
export function memoryKeyValue(options: Pick<KeyValueOptions, 'log'> & { maxKeys?: number }): KeyValue {
  const { log, maxKeys = defaultMaxKeys } = options;
  // A Map keeps the order of insertion.
  const entries = new Map<string, Entry>();
  const listeners = createListeners(log);
  let closed = false;

  function open(): void {
    if (closed) throw unavailable('key-value', new Error('it is closed'));
  }

  function find(key: string): Entry | undefined {
    const entry = entries.get(key);
    if (!entry || entry.expiresAt > performance.now()) return entry;
    entries.delete(key);
    return undefined;
  }

  function put(key: string, value: string, ttlMs: number): void {
    entries.delete(key);
    if (entries.size >= maxKeys) makeRoom();
    entries.set(key, { value, expiresAt: performance.now() + ttlMs });
  }

  function makeRoom(): void {
    const now = performance.now();
    for (const [key, entry] of entries) if (entry.expiresAt <= now) entries.delete(key);
    // A tenth more than needed, so that a full store is not walked through at every call.
    for (const key of entries.keys()) {
      if (entries.size <= maxKeys * 0.9) break;
      entries.delete(key);
    }
  }

  return {
    async get(key) {
      open();
      checkKey(key);
      return find(key)?.value;
    },
    async set(key, value, ttlMs) {
      open();
      checkKey(key);
      checkValue(value);
      checkTtl(ttlMs);
      put(key, value, ttlMs);
    },
    async delete(key) {
      open();
      checkKey(key);
      entries.delete(key);
    },
    async increment(key, by, ttlMs) {
      open();
      checkKey(key);
      checkBy(by);
      checkTtl(ttlMs);
      const entry = find(key);
      // As Redis does: no spaces, no leading zeros, no exponent.
      if (entry && !/^(0|-?[1-9]\d{0,18})$/.test(entry.value)) throw notACounter();
      const sum = BigInt(entry?.value ?? 0) + BigInt(by);
      if (entry) entry.value = String(sum);
      else put(key, String(sum), ttlMs);
      return Number(sum);
    },
    async publish(channel, message) {
      open();
      checkKey(channel);
      checkValue(message);
      // Later, as from a server: never inside the caller's own step.
      setImmediate(() => listeners.tell(channel, message));
    },
    async subscribe(channel, listener) {
      checkKey(channel);
      if (!closed) listeners.add(channel, listener);
      return async () => void listeners.remove(channel, listener);
    },
    async check() {
      open();
    },
    async close() {
      closed = true;
      entries.clear();
      listeners.clear();
    },
  };
}
