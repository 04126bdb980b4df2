import type { Socket as Connection } from 'engine.io';
import { createBucket, socketLimits } from './limits.ts';

/** What is looked at of a `ws` socket. */
interface WebSocket {
  readonly bufferedAmount: number;
  on(event: 'ping' | 'pong', listener: () => void): void;
  terminate(): void;
}

export type GuardReason = 'TOO_MANY_EVENTS' | 'READS_TOO_SLOWLY';

export interface Guard {
  /** Bytes that wait for the other side to read them. */
  waitingBytes(): number;
  /** Ends the connection without waiting for anybody. */
  terminate(): void;
}

/**
 * Watches one connection from its first byte, before anybody has said who they are: how much comes, and how much waits to
 * be read. Heartbeats and control frames count as well.
 */
export function guardConnection(connection: Connection, onBreach: (reason: GuardReason) => void): Guard {
  const socket = (connection.transport as unknown as { socket: WebSocket }).socket;
  const bucket = createBucket({ perSecond: socketLimits.eventsPerSecond, atOnce: socketLimits.eventsAtOnce });
  /** Handed to nobody yet: the connection below has not taken what came before. */
  let queued = 0;
  let over = false;

  function breach(reason: GuardReason): void {
    // Who goes on after being told is not waited for.
    if (over) terminate();
    else {
      over = true;
      onBreach(reason);
    }
  }
  const count = (): void => {
    if (!bucket.take()) breach('TOO_MANY_EVENTS');
  };
  const terminate = (): void => socket.terminate();
  const waitingBytes = (): number => queued + socket.bufferedAmount;

  connection.on('packet', count);
  socket.on('ping', count);
  socket.on('pong', count);
  connection.on('packetCreate', ({ data }: { data?: string | Buffer }) => {
    queued += data?.length ?? 0;
    if (waitingBytes() > socketLimits.waitingBytes) breach('READS_TOO_SLOWLY');
  });
  connection.on('flush', () => {
    queued = 0;
  });
  return { waitingBytes, terminate };
}
