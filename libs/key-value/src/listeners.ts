import { describeError, type Logger } from '@worktide/runtime';

type Listener = (message: string) => void;

export interface Listeners {
  /** @returns whether it is the channel's first. */
  add(channel: string, listener: Listener): boolean;
  /** @returns whether it was the channel's last. */
  remove(channel: string, listener: Listener): boolean;
  channels(): string[];
  /** Calls the channel's listeners; one that throws is logged and does not keep the others from hearing. */
  tell(channel: string, message: string): void;
  clear(): void;
}

export function createListeners(log: Logger): Listeners {
  const byChannel = new Map<string, Set<Listener>>();
  return {
    add(channel, listener) {
      const present = byChannel.get(channel);
      if (present) present.add(listener);
      else byChannel.set(channel, new Set([listener]));
      return !present;
    },
    remove(channel, listener) {
      const present = byChannel.get(channel);
      present?.delete(listener);
      return present?.size === 0 && byChannel.delete(channel);
    },
    channels: () => [...byChannel.keys()],
    tell(channel, message) {
      for (const listener of [...(byChannel.get(channel) ?? [])]) {
        try {
          listener(message);
        } catch (error) {
          log.error({ err: error, channel }, `a listener failed: ${describeError(error)}`);
        }
      }
    },
    clear: () => byChannel.clear(),
  };
}
