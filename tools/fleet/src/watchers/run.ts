import { io, type Socket } from 'socket.io-client';
import type { Account } from '../accounts.ts';
import { type HttpClient, sendUntilAnswered } from '../client.ts';
import type { AlertItem, Reader, TimeEntryItem } from '../verify/read.ts';

export interface WatchResult {
  /** What every watcher has been told is what the lists say. */
  equal: boolean;
  watchers: number;
  /** Events that they were told. */
  events: number;
  /** Times that one had to connect again, and of those how often it was sent what it had missed. */
  reconnected: number;
  recovered: number;
  /** Of time entries, alerts and people, how many were compared. */
  compared: number;
  differences: { userId: string; first: string[]; count: number }[];
  tookSeconds: number;
}

export interface WatchersOptions {
  client: HttpClient;
  /** Of the sockets, presence and auth. */
  origins: { realtime: string; auth: string };
  reader: Reader;
  /** Each is watched by turns. */
  accounts: readonly Account[];
  count: number;
}

export interface Watchers {
  /** Resolves when all are connected for the first time. */
  ready: Promise<void>;
  /** Compares until all is equal, or the time is over. */
  verify(options: { settleSeconds: number }): Promise<WatchResult>;
  stop(): void;
}

/** What is compared of a thing: as told, and as the list has it. */
interface Told {
  version: number;
  text: string;
  /** Whether it is gone. */
  gone: boolean;
}
interface Watcher {
  account: Account;
  socket: Socket;
  entries: Map<string, Told>;
  alerts: Map<string, Told>;
  people: Map<string, Told>;
  events: number;
  connects: number;
  recovered: number;
}
interface Payload {
  id: string;
  userId: string;
  version: number;
  state: string;
  deleted?: boolean;
}

const entryText = (entry: TimeEntryItem | Payload): string => {
  const { status, startTime, endTime, projectId, taskId, description, tags, billable } = entry as unknown as Record<
    string,
    unknown
  >;
  return JSON.stringify([status, startTime, endTime, projectId, taskId, description, tags, billable]);
};
const alertText = (alert: AlertItem | Payload): string => {
  const { type, date, resolvedAt } = alert as unknown as { type: string; date: string; resolvedAt: string | null };
  return JSON.stringify([type, date, resolvedAt !== null]);
};

/** Of two states the newer one; what is heard twice changes nothing. */
function take(map: Map<string, Told>, id: string, told: Told): void {
  if ((map.get(id)?.version ?? -1) < told.version) map.set(id, told);
}

const dayMs = 86_400_000;
const shownEach = 5;

/**
 * Opens sockets as those who watch an organisation do, and keeps what they are told: of each thing the newest state. Whoever had to
 * connect anew without being sent what they missed reads the lists once, as the documentation says.
 */
export function startWatchers({ client, origins, reader, accounts, count }: WatchersOptions): Watchers {
  const watchers = Array.from({ length: count }, (_, i) => start(accounts[i % accounts.length]!));

  function start(account: Account): Watcher {
    let token = account.bearer;
    const socket = io(origins.realtime, {
      transports: ['websocket'],
      forceNew: true,
      auth: (give) => give({ token }),
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
    });
    const watcher: Watcher = {
      account,
      socket,
      entries: new Map(),
      alerts: new Map(),
      people: new Map(),
      events: 0,
      connects: 0,
      recovered: 0,
    };
    const logIn = async (): Promise<void> => {
      if (!account.login) return;
      const body = JSON.stringify(account.login);
      const headers = { 'content-type': 'application/json' };
      const login = { method: 'POST', path: '/api/v1/auth/login', headers, body } as const;
      const answer = await sendUntilAnswered(client, origins.auth, login, { deadline: Date.now() + 60_000 });
      if (answer.status === 200) token = (JSON.parse(answer.text) as { accessToken: string }).accessToken;
    };
    const again = (): void => void setTimeout(() => socket.connect(), 1_000).unref();
    socket.on('connect', () => {
      if (watcher.connects++ === 0) return;
      if (socket.recovered) watcher.recovered++;
      else void readLists(watcher).catch(() => {});
    });
    socket.on('connect_error', (error: Error & { data?: { code?: string } }) => {
      // What the transport says is tried again by itself; what the server says is not.
      if (error.data === undefined) return;
      void (error.data.code === 'TOKEN_EXPIRED' ? logIn() : Promise.resolve()).finally(again);
    });
    socket.on('cut', ({ code }: { code: string }) => void (code === 'TOKEN_EXPIRED' ? logIn() : undefined));
    socket.on('disconnect', (reason) => {
      if (reason === 'io server disconnect') again();
    });
    socket.onAny(() => watcher.events++);
    socket.on('session:update', (entry: Payload) =>
      take(watcher.entries, entry.id, { version: entry.version, text: entryText(entry), gone: entry.deleted === true }),
    );
    for (const event of ['alert:inactive', 'alert:overtime', 'alert:resolved']) {
      socket.on(event, (alert: Payload) =>
        take(watcher.alerts, alert.id, { version: alert.version, text: alertText(alert), gone: false }),
      );
    }
    for (const event of ['user:online', 'user:idle', 'user:offline']) {
      socket.on(event, ({ userId, version, state }: Payload) =>
        take(watcher.people, userId, { version, text: state, gone: false }),
      );
    }
    return watcher;
  }

  const lists = async (account: Account) => ({
    entries: await reader.timeEntries(account, Date.now() - 90 * dayMs, Date.now() + dayMs),
    alerts: await reader.alerts(account),
    people: await reader.presence(account),
  });

  async function readLists(watcher: Watcher): Promise<void> {
    const { entries, alerts, people } = await lists(watcher.account);
    for (const entry of entries) {
      take(watcher.entries, entry.id, { version: entry.version, text: entryText(entry), gone: false });
    }
    // A list of alerts tells no versions: what is said of one later is newer.
    for (const alert of alerts) watcher.alerts.set(alert.id, { version: 0, text: alertText(alert), gone: false });
    for (const { userId, version, state } of people) {
      take(watcher.people, userId, { version, text: state, gone: false });
    }
    const ids = new Set(entries.map(({ id }) => id));
    for (const [id, told] of watcher.entries) if (!ids.has(id)) watcher.entries.set(id, { ...told, gone: true });
  }

  async function differencesOf(watcher: Watcher): Promise<{ compared: number; found: string[] }> {
    const { entries, alerts, people } = await lists(watcher.account);
    const found: string[] = [];
    const compare = (what: string, told: Map<string, Told>, listed: ReadonlyMap<string, string>, unseen: string) => {
      for (const [id, text] of listed) {
        const heard = told.get(id)?.text ?? unseen;
        if (told.get(id)?.gone || heard !== text) found.push(`${what} ${id}: the list has ${text}, told was ${heard}`);
      }
      for (const [id, { gone, text }] of told) {
        if (!gone && !listed.has(id)) found.push(`${what} ${id}: told was ${text}, the list has none`);
      }
      return listed.size;
    };
    const compared =
      compare('time entry', watcher.entries, new Map(entries.map((one) => [one.id, entryText(one)])), 'nothing') +
      compare('alert', watcher.alerts, new Map(alerts.map((one) => [one.id, alertText(one)])), 'nothing') +
      // Of who was never at work nobody is told.
      compare('presence', watcher.people, new Map(people.map(({ userId, state }) => [userId, state])), 'offline');
    return { compared, found };
  }

  const stop = (): void => {
    for (const { socket } of watchers) socket.disconnect();
  };

  return {
    ready: Promise.all(
      watchers.map(({ socket }) => new Promise<void>((resolve) => socket.once('session:state', () => resolve()))),
    ).then(() => {}),
    stop,
    async verify({ settleSeconds }) {
      const startedAt = performance.now();
      let open = watchers;
      let compared = 0;
      const differing = new Map<Watcher, string[]>();
      for (;;) {
        const still: Watcher[] = [];
        for (const watcher of open) {
          const { compared: n, found } = await differencesOf(watcher);
          if (found.length === 0) {
            compared += n;
            differing.delete(watcher);
          } else {
            differing.set(watcher, found);
            still.push(watcher);
          }
        }
        open = still;
        if (open.length === 0 || performance.now() - startedAt > settleSeconds * 1_000) break;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      const sum = (of: (watcher: Watcher) => number): number => watchers.reduce((all, one) => all + of(one), 0);
      return {
        equal: differing.size === 0,
        watchers: watchers.length,
        events: sum(({ events }) => events),
        reconnected: sum(({ connects }) => Math.max(0, connects - 1)),
        recovered: sum(({ recovered }) => recovered),
        compared,
        differences: [...differing].map(([{ account }, found]) => ({
          userId: account.userId,
          first: found.slice(0, shownEach),
          count: found.length,
        })),
        tookSeconds: (performance.now() - startedAt) / 1_000,
      };
    },
  };
}
