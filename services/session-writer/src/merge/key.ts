import type { PingState } from '@worktide/schemas';

/** What an instant of tracked time belongs to. `projectId` and `timeEntryId` are not part of it (docs/rules.md, Merging). */
export interface UsageKey {
  state: PingState;
  app: string;
  host: string | null;
  /** Set of an entry alone: active by its pings, shown as idle, for nobody was at the device (`mask.ts`). */
  masked?: true;
}

/**
 * The fixed order of owners, first wins: active before idle, then app by code point, no host before a host, host by
 * code point. It looks at nothing but the keys, which is why order, batching and repetition of pings cannot matter.
 */
export function compareKeys(a: UsageKey, b: UsageKey): number {
  if (a.state !== b.state) return a.state === 'active' ? -1 : 1;
  if (a.app !== b.app) return compareCodePoints(a.app, b.app);
  if (a.host === b.host) return 0;
  if (a.host === null) return -1;
  if (b.host === null) return 1;
  return compareCodePoints(a.host, b.host);
}

/** Whether pings of the one are pings of the other; of entries, whether they are of the same pings, masked or not. */
export const sameKey = (a: UsageKey, b: UsageKey): boolean =>
  a.state === b.state && a.app === b.app && a.host === b.host;

/**
 * Compares well-formed texts by code point. JavaScript's `<` compares UTF-16 units, which puts U+1F600 (units D83D
 * DE00) before U+FF5E; databases and other languages would disagree with it.
 */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

// Surrogates stand for code points above every other unit: moved behind U+FFFF. Within a pair the first unit decides.
const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
