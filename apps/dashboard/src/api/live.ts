import type { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import type { Socket } from 'socket.io-client';
import type { Schemas } from './client.ts';
import { accessToken, currentSession, onSession, renew, renewIn } from './session.ts';

type Presence = Schemas['Presence'];

/** `away`: it was there, or is to be, and is not. */
export type Connection = 'none' | 'there' | 'away';

let socket: Socket | undefined;
let connection: Connection = 'none';
let presences: ReadonlyMap<string, Presence> = new Map();
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export const useConnection = (): Connection => useSyncExternalStore(subscribe, () => connection);
export const usePresences = (): ReadonlyMap<string, Presence> => useSyncExternalStore(subscribe, () => presences);

function setConnection(next: Connection): void {
  if (connection === next) return;
  connection = next;
  tell();
}

/** Of two states of a person the newer one: what is told may come twice, and a list may be older than what was told. */
export function takePresences(all: readonly Presence[]): void {
  const newer = all.filter((one) => (presences.get(one.userId)?.version ?? -1) < one.version);
  if (newer.length === 0) return;
  presences = new Map([...presences, ...newer.map((one) => [one.userId, one] as const)]);
  tell();
}

/** Which lists what happened is in. */
const concerns: Record<string, readonly string[]> = {
  'session:state': ['/api/v1/time-entries/active', '/api/v1/notifications'],
  'session:update': ['/api/v1/time-entries', '/api/v1/time-entries/active', '/api/v1/reports'],
  'user:online': ['/api/v1/usage', '/api/v1/reports'],
  'user:idle': ['/api/v1/usage', '/api/v1/reports'],
  'user:offline': ['/api/v1/usage', '/api/v1/reports'],
  'alert:inactive': ['/api/v1/alerts'],
  'alert:overtime': ['/api/v1/alerts'],
  'alert:resolved': ['/api/v1/alerts'],
  'task:event': ['/api/v1/tasks'],
  'screenshot:ready': ['/api/v1/screenshots'],
  notification: ['/api/v1/notifications', '/api/v1/reports/exports'],
};
/** Reports follow what happened a moment later; a flood of events is one look. */
const gatherMs = 700;

/** The socket of this tab: there while somebody is logged in, and brought back whenever it goes. */
export function followLive(queries: QueryClient): void {
  let stale = new Set<string>();
  let isWaiting = false;
  const look = (paths: readonly string[]): void => {
    for (const path of paths) stale.add(path);
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      const all = [...stale];
      stale = new Set();
      isWaiting = false;
      void queries.invalidateQueries({
        predicate: ({ queryKey }) => all.some((path) => String(queryKey[1]).startsWith(path)),
      });
    }, gatherMs);
  };

  let renewal: ReturnType<typeof setTimeout> | undefined;
  const renewInTime = (): void => {
    clearTimeout(renewal);
    renewal = setTimeout(
      async () => {
        const isGood = await renew().catch(() => undefined);
        if (isGood) socket?.emit('renew', { token: accessToken() }, () => {});
        if (isGood !== false) renewInTime();
      },
      Math.max(5_000, renewIn() ?? 60_000),
    );
  };

  async function open(): Promise<void> {
    // Not in the first load: whoever logs in does not wait for it.
    const { io } = await import('socket.io-client');
    if (socket || currentSession().status !== 'in') return;
    const opened = io({
      transports: ['websocket'],
      auth: (give) => give({ token: accessToken() }),
      reconnectionDelayMax: 5_000,
    });
    socket = opened;
    opened.on('connect', () => {
      const isFirst = connection === 'none';
      setConnection('there');
      if (!isFirst && !opened.recovered) void queries.invalidateQueries();
    });
    for (const [event, paths] of Object.entries(concerns)) {
      opened.on(event, (payload: unknown) => {
        if (event.startsWith('user:')) takePresences([payload as Presence]);
        look(paths);
      });
    }
    // Cut by the server, or refused: the session may be over. Only the cookie can tell.
    let tries = 0;
    const comeAgain = async (): Promise<void> => {
      const isGood = await renew().catch(() => undefined);
      if (isGood === false || opened !== socket) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(500 * 2 ** tries++, 10_000)));
      if (opened === socket) opened.connect();
    };
    opened.on('connected', () => {
      tries = 0;
    });
    opened.on('disconnect', (reason) => {
      if (opened !== socket) return;
      setConnection('away');
      if (reason === 'io server disconnect') void comeAgain();
    });
    opened.on('connect_error', () => {
      if (opened !== socket) return;
      if (connection === 'there' || !opened.active) setConnection('away');
      if (!opened.active) void comeAgain();
    });
    renewInTime();
  }

  const follow = (): void => {
    if (currentSession().status === 'in') {
      if (!socket) void open();
      return;
    }
    clearTimeout(renewal);
    socket?.disconnect();
    socket = undefined;
    presences = new Map();
    connection = 'none';
    // Nothing of a person stays in memory for the next one.
    if (currentSession().status === 'out') queries.clear();
    tell();
  };
  onSession(follow);
  follow();
}
