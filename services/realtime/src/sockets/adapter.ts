import { createAdapter } from '@socket.io/redis-streams-adapter';
import { connectStreams } from '@worktide/key-value';
import { type Logger, unavailable } from '@worktide/runtime';
import type { Namespace } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import { OnceRecovered, withoutRights } from './recovery.ts';

/** What makes the adapter of a namespace, and ends its connections. */
export interface Adapters {
  create: (namespace: Namespace) => Adapter;
  /** Whether there may be other replicas. */
  shared: boolean;
  end: () => void;
}

type Packet = Parameters<Adapter['broadcast']>[0];
interface Published {
  data?: { packet?: object };
}

/**
 * How long a client may be away and still be sent what it missed. The stream keeps some thousands of events for it: who
 * missed more is told that nothing was recovered, and reads the lists.
 */
export const recoveryMs = 120_000;
const keptEvents = 20_000;

/** Packets that were not published, and why. */
const unpublished = new WeakMap<object, unknown>();

/** Between replicas by a stream in Redis, which survives its absence; within one process from memory. */
export function openAdapters(keyValueUrl: string, log: Logger): Adapters {
  if (keyValueUrl.startsWith('memory:')) {
    return { create: (namespace) => withoutRights(new OnceRecovered(namespace)), shared: false, end() {} };
  }
  const { redis, end } = connectStreams(keyValueUrl, { name: 'sockets', log });
  // Not waited for by the adapter: a failure would end the process. What they are for is lost, and nothing that was promised.
  const quiet = (method: 'set' | 'publish'): void => {
    const original = redis[method].bind(redis) as (...args: unknown[]) => Promise<unknown>;
    Object.assign(redis, { [method]: (...args: unknown[]) => original(...args).catch(() => null) });
  };
  quiet('set');
  quiet('publish');
  const make = createAdapter(redis, {
    streamName: 'realtime:stream',
    channelPrefix: 'realtime',
    sessionKeyPrefix: 'realtime:session:',
    maxLen: keptEvents,
    readCount: 500,
    onlyPlaintext: true,
  });
  return {
    create(namespace) {
      const adapter = make(namespace);
      const publish = adapter.doPublish.bind(adapter) as (message: object) => Promise<string>;
      adapter.doPublish = async (message: object) => {
        try {
          return await publish(message);
        } catch (error) {
          // The adapter goes on without a word, and only those at this replica would hear of it.
          const { packet } = (message as Published).data ?? {};
          if (packet) unpublished.set(packet, error);
          throw error;
        }
      };
      return withoutRights(adapter);
    },
    shared: true,
    end,
  };
}

/**
 * Sends an event to all in some rooms, at all replicas.
 * @throws AppError 503 where it is not known to have reached the others; it may come twice then.
 */
export async function broadcast(
  adapter: Adapter,
  { rooms, event, payload }: { rooms: readonly string[]; event: string; payload: unknown },
): Promise<void> {
  // As `to(rooms).emit(event, payload)` does it, but for the wait.
  const packet = { type: 2, data: [event, payload] } as unknown as Packet;
  await adapter.broadcast(packet, { rooms: new Set(rooms), except: new Set(), flags: {} });
  const failure = unpublished.get(packet);
  if (failure !== undefined) throw unavailable('key-value', failure);
}
