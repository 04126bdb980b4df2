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
  'session:state': ['/api/v1/notifications'],
  'session:update': ['/api/v1/time-entries', '/api/v1/reports'],
  'user:online': ['/api/v1/usage', '/api/v1/reports'],
  'user:idle': ['/api/v1/usage', '/api/v1/reports'],
  'user:offline': ['/api/v1/usage', '/api/v1/reports'],
  'alert:inactive': ['/api/v1/alerts'],
  'alert:overtime': ['/api/v1/alerts'],
  'alert:resolved': ['/api/v1/alerts'],
  'task:event': ['/api/v1/tasks'],
  'screenshot:ready': ['/api/v1/screenshots'],
  notification: ['/api/v1/notifications'],
};
/** Reports follow what happened a moment later. */
const gatherMs = 700;
/** Events of a whole organisation come all the time: a list is asked for again so often and no more. */
const againMs = 5_000;

type TimeEntry = Schemas['TimeEntry'];

/** What somebody has running, where a page shows it: told, it need not be asked for. Others' pages are not touched. */
function takeEntry(queries: QueryClient, told: TimeEntry & { deleted?: true }): void {
  const own = currentSession();
  const isOwn = own.status === 'in' && own.user.id === told.userId;
  queries.setQueriesData<Schemas['ActiveTimeEntry']>(
    {
      predicate: ({ queryKey }) => {
        if (queryKey[1] !== '/api/v1/time-entries/active') return false;
        const { params } = (queryKey[2] ?? {}) as { params?: { query?: { userId?: string } } };
        const userId = params?.query?.userId;
        return userId === undefined ? isOwn : userId === told.userId;
      },
    },
    (shown) => {
      const present = shown?.entry ?? null;
      // It comes twice at times, and what was answered may be newer.
      if (present?.id === told.id && present.version > told.version) return shown;
      const isOpen = !told.deleted && told.status !== 'STOPPED';
      if (isOpen) return { entry: { ...present, ...told } };
      return present === null || present.id === told.id ? { entry: null } : shown;
    },
  );
}

/** The socket of this tab: there while somebody is logged in, and brought back whenever it goes. */
export function followLive(queries: QueryClient): void {
  const waiting = new Set<string>();
  const looked = new Map<string, number>();
  const look = (paths: readonly string[]): void => {
    for (const path of paths.filter((one) => !waiting.has(one))) {
      waiting.add(path);
      const wait = Math.max(gatherMs, (looked.get(path) ?? 0) + againMs - Date.now());
      setTimeout(() => {
        waiting.delete(path);
        looked.set(path, Date.now());
        void queries.invalidateQueries({
          predicate: ({ queryKey }) =>
            queryKey[1] === path || (path === '/api/v1/reports' && String(queryKey[1]).startsWith(path)),
        });
      }, wait);
    }
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
        if (event === 'session:update') takeEntry(queries, payload as TimeEntry);
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
