import { unavailable } from '@worktide/runtime';
import type { State, States } from './types.ts';

interface Entry extends State {
  expiresAt: number;
  dueAt: number | null;
}

/** States at most; past it what was changed longest ago goes. */
const maxStates = 200_000;

const spaces = new Map<string, { entries: Map<string, Entry>; users: number }>();

/** @param space those who open the same share it, until the last of them closes. */
export function memoryStates(space: string): States {
  const shared = spaces.get(space) ?? { entries: new Map<string, Entry>(), users: 0 };
  spaces.set(space, shared);
  shared.users++;
  const { entries } = shared;
  let closed = false;

  function open(): void {
    if (closed) throw unavailable('key-value', new Error('it is closed'));
  }

  function find(id: string): Entry | undefined {
    const entry = entries.get(id);
    if (!entry || entry.expiresAt > Date.now()) return entry;
    entries.delete(id);
    return undefined;
  }

  return {
    async read(ids) {
      open();
      return ids.map((id) => {
        const entry = find(id);
        return entry && { revision: entry.revision, value: entry.value };
      });
    },
    async write(changes) {
      open();
      return changes.map(({ id, revision, value, ttlMs, dueAt }) => {
        if ((find(id)?.revision ?? 0) !== revision) return false;
        // A Map keeps the order of insertion.
        entries.delete(id);
        entries.set(id, { revision: revision + 1, value, expiresAt: Date.now() + ttlMs, dueAt });
        if (entries.size > maxStates) entries.delete(entries.keys().next().value!);
        return true;
      });
    },
    async claim({ now, limit, leaseMs }) {
      open();
      const due: [string, Entry][] = [];
      for (const [id, { dueAt }] of entries) {
        if (dueAt === null || dueAt > now) continue;
        const entry = find(id);
        if (entry) due.push([id, entry]);
      }
      due.sort(([, a], [, b]) => a.dueAt! - b.dueAt!);
      return due.slice(0, limit).map(([id, entry]) => {
        entry.dueAt = now + leaseMs;
        return { id, revision: entry.revision, value: entry.value };
      });
    },
    async waiting(now) {
      open();
      const all = [...entries.values()].filter(({ dueAt }) => dueAt !== null);
      return { all: all.length, due: all.filter(({ dueAt }) => dueAt! <= now).length };
    },
    async close() {
      if (closed) return;
      closed = true;
      shared.users--;
      if (shared.users === 0 && spaces.get(space) === shared) spaces.delete(space);
    },
  };
}
