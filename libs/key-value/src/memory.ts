import { unavailable } from '@worktide/runtime';
import { checkBy, checkKey, checkMember, checkTtl, checkValue, notACounter } from './checks.ts';
import { createListeners, type Listeners } from './listeners.ts';
import type { KeyValue, KeyValueOptions } from './types.ts';

interface Entry {
  value: string;
  /** On the monotonic clock. */
  expiresAt: number;
}

/** Keys at most; past it what has expired goes first, then what was set longest ago. */
const defaultMaxKeys = 100_000;
/** Characters of keys and values together: what has expired is otherwise kept until there are many keys. */
const defaultMaxCharacters = 64 * 1024 * 1024;

/** What those who share a store share. */
interface Space {
  /** A Map keeps the order of insertion. */
  entries: Map<string, Entry>;
  characters: number;
  /** Of each who has it open. */
  listeners: Set<Listeners>;
}
const newSpace = (): Space => ({ entries: new Map(), characters: 0, listeners: new Set() });

/** What a name means is the process's, as it is Redis's elsewhere. */
const spaces = new Map<string, Space>();

/** A store that all who open it by this name in this process share; emptied when the last of them closes. */
export function namedMemoryKeyValue(name: string, options: Pick<KeyValueOptions, 'log'>): KeyValue {
  const space = spaces.get(name) ?? newSpace();
  spaces.set(name, space);
  const store = memoryKeyValue(options, space);
  return {
    ...store,
    async close() {
      await store.close();
      // Somebody may have opened the name anew after the last had closed, and this be a second call.
      if (space.listeners.size === 0 && spaces.get(name) === space) spaces.delete(name);
    },
  };
}

/** A store of this instance alone, unless it is given what others have too. */
export function memoryKeyValue(
  options: Pick<KeyValueOptions, 'log'> & { maxKeys?: number; maxCharacters?: number },
  space: Space = newSpace(),
): KeyValue {
  const { log, maxKeys = defaultMaxKeys, maxCharacters = defaultMaxCharacters } = options;
  const { entries } = space;
  const listeners = createListeners(log);
  space.listeners.add(listeners);
  let closed = false;

  function open(): void {
    if (closed) throw unavailable('key-value', new Error('it is closed'));
  }

  function find(key: string): Entry | undefined {
    const entry = entries.get(key);
    if (!entry || entry.expiresAt > performance.now()) return entry;
    remove(key);
    return undefined;
  }

  function remove(key: string): void {
    const entry = entries.get(key);
    if (!entry) return;
    space.characters -= key.length + entry.value.length;
    entries.delete(key);
  }

  function put(key: string, value: string, ttlMs: number): void {
    remove(key);
    const size = key.length + value.length;
    if (entries.size >= maxKeys || space.characters + size > maxCharacters) makeRoom(size);
    entries.set(key, { value, expiresAt: performance.now() + ttlMs });
    space.characters += size;
  }

  function makeRoom(size: number): void {
    const now = performance.now();
    for (const [key, entry] of entries) if (entry.expiresAt <= now) remove(key);
    // A tenth more than needed, so that a full store is not walked through at every call.
    for (const key of entries.keys()) {
      if (entries.size <= maxKeys * 0.9 && space.characters + size <= maxCharacters * 0.9) break;
      remove(key);
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
      remove(key);
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
      if (entry) {
        space.characters += String(sum).length - entry.value.length;
        entry.value = String(sum);
      } else put(key, String(sum), ttlMs);
      return Number(sum);
    },
    async addToSet(key, members, { max, ttlMs }) {
      open();
      checkKey(key);
      for (const member of members) checkMember(member);
      checkTtl(ttlMs);
      // As one value with spaces between, so that it counts like any other in the room that there is.
      const there = new Set(find(key)?.value.split(' '));
      const answer = members.map((member) => there.has(member) || (there.size < max && there.add(member).has(member)));
      if (there.size > 0) put(key, [...there].join(' '), ttlMs);
      return answer;
    },
    async publish(channel, message) {
      open();
      checkKey(channel);
      checkValue(message);
      // Later, as from a server: never inside the caller's own step.
      setImmediate(() => {
        for (const each of space.listeners) each.tell(channel, message);
      });
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
      listeners.clear();
      space.listeners.delete(listeners);
      if (space.listeners.size > 0) return;
      entries.clear();
      space.characters = 0;
    },
  };
}
