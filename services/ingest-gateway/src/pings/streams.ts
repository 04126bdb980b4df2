import { createHash } from 'node:crypto';
import type { KeyValue } from '@worktide/key-value';
import { type Caller, userSubject } from '@worktide/runtime';
import type { Stream } from '../items/kind.ts';
import { createKnown } from './known.ts';

/** What the writer keeps something of for ever: a watcher on a device. U+0000 is in neither. */
export const streamKey = ({ deviceId, source }: Stream): string => `${source}\0${deviceId}`;

/** Bounds the distinct streams of each user, over all replicas and for as long as the store remembers. */
export interface Streams {
  /**
   * Those of the items that this process has not seen of this user, as `streamKey`; undefined where there are none, as
   * nearly always.
   */
  unknown<T>(caller: Caller, items: readonly T[], streamOf: (item: T) => Stream): Set<string> | undefined;
  /**
   * Asks for room for streams. Never fails: while the store is away, as many are taken as fit into what this process
   * has seen.
   * @returns those that are too many.
   */
  admit(caller: Caller, streams: Set<string>): Promise<Set<string>>;
}

/** From the last time that one was added: by far longer than pings may be late. */
const ttlMs = 400 * 86_400_000;

/** @param options.max streams of a user. */
export function createStreams({ keyValue, max }: { keyValue: KeyValue; max: number }): Streams {
  const known = createKnown();

  return {
    unknown({ organizationId, userId }, items, streamOf) {
      const seen = known.of(organizationId, userId);
      let last: Stream | undefined;
      let unknown: Set<string> | undefined;
      for (const item of items) {
        const one = streamOf(item);
        if (one.deviceId === last?.deviceId && one.source === last.source) continue;
        last = one;
        const stream = streamKey(one);
        if (seen.has(stream)) continue;
        unknown ??= new Set();
        unknown.add(stream);
      }
      return unknown;
    },

    async admit(caller, streams) {
      const { organizationId, userId } = caller;
      const seen = known.of(organizationId, userId);
      const asked = [...streams];
      // All of them, however many: which of them are old acquaintances is for the store to say.
      const admitted = await keyValue
        .addToSet(`${userSubject(caller)}:streams`, asked.map(digest), { max, ttlMs })
        .catch(() => asked.map((_, i) => i < max - seen.size));
      const refused = new Set<string>();
      for (const [i, stream] of asked.entries()) {
        if (!admitted[i]) refused.add(stream);
        // What was taken while the store was away may come on top, once.
        else if (known.of(organizationId, userId).size < 2 * max) known.add(organizationId, userId, stream);
      }
      return refused;
    },
  };
}

const digest = (stream: string): string => createHash('sha256').update(stream).digest('base64url').slice(0, 11);
