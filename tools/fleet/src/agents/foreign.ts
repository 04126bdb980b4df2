import type { WirePing } from '../oracle/ledger.ts';
import type { Random } from '../random.ts';
import type { Expected, PingRequest, Script } from './uploads.ts';
import type { Worker } from './worker.ts';

/** Agents of other systems: the same days at work, told in another language, and what must come of it. */

/** Events or heartbeats of one request. */
const mostAtOnce = 200;

const taken: Expected = { status: 200, protocol: 'activitywatch' };

const request = (
  path: string,
  body: unknown,
  items: readonly (WirePing | undefined)[],
  expected: Expected = taken,
): PingRequest => ({ path, body: JSON.stringify(body), contentType: 'application/json', items, expected });

interface Watched {
  bucket: string;
  type: string;
  data: Record<string, unknown>;
  /** What it must be in reports. */
  app: string;
  url?: string;
}

/** What ActivityWatch's watchers say of what a worker does; undefined for what they have no words for. */
function watched({ app, url, title = '', source = 'window', state = 'active' }: WirePing): Watched | undefined {
  if (source === 'afk') {
    const data = { status: state === 'idle' ? 'afk' : 'not-afk' };
    return { bucket: 'aw-watcher-afk_fleet', type: 'afkstatus', data, app: 'afk' };
  }
  if (state === 'idle') return undefined;
  switch (source) {
    case 'web': {
      const data = { url, title, audible: false, incognito: false };
      return {
        bucket: 'aw-watcher-web-firefox_fleet',
        type: 'web.tab.current',
        data,
        app: 'Firefox',
        ...(url ? { url } : {}),
      };
    }
    case 'editor': {
      const data = { file: title || 'main.ts', project: 'fleet', language: 'TypeScript' };
      return { bucket: 'aw-watcher-vscode_fleet', type: 'app.editor.activity', data, app: 'VS Code' };
    }
    default:
      return { bucket: 'aw-watcher-window_fleet', type: 'currentwindow', data: { app, title }, app };
  }
}

/**
 * An agent that speaks ActivityWatch: events in lists, and heartbeats that bring their own length. Without a pulse these join only
 * what touches, so that what must be there is known whatever the order.
 */
export function createActivityWatch(worker: Worker, random: Random): Script {
  const made = new Set<string>();
  let late: PingRequest[] = [];

  function requestsOf(pings: readonly WirePing[]): PingRequest[] {
    const buckets = new Map<string, { type: string; events: { event: object; item: WirePing }[] }>();
    for (const ping of pings) {
      const seen = watched(ping);
      if (!seen) continue;
      const { bucket, type, data, app, url } = seen;
      const duration = (Date.parse(ping.endedAt) - Date.parse(ping.startedAt)) / 1_000;
      const { id, startedAt, endedAt, state, source } = ping;
      // The device is the key's: this protocol has no other.
      const item = {
        id,
        startedAt,
        endedAt,
        app,
        ...(url ? { url } : {}),
        ...(state ? { state } : {}),
        ...(source ? { source } : {}),
      };
      const list = buckets.get(bucket) ?? { type, events: [] };
      buckets.set(bucket, list);
      list.events.push({ event: { timestamp: startedAt, duration, data }, item });
    }
    return [...buckets].flatMap(([bucket, { type, events }]) => {
      const path = `/api/0/buckets/${bucket}`;
      const all: PingRequest[] = [];
      if (!made.has(bucket)) {
        made.add(bucket);
        const body = { type, client: bucket.split('_')[0], hostname: 'fleet' };
        all.push(request(path, body, [], { status: 200, protocol: 'activitywatch', or: 304 }));
      }
      // One without length joins what ends where it is, and says nothing of the millisecond that an event of its own has.
      const asBeats = random.chance(0.4)
        ? events.filter(({ item }) => Date.parse(item.startedAt) < Date.parse(item.endedAt))
        : [];
      for (const { event, item } of asBeats) all.push(request(`${path}/heartbeat?pulsetime=0`, event, [item]));
      const asEvents = events.filter((one) => !asBeats.includes(one));
      for (let i = 0; i < asEvents.length; i += mostAtOnce) {
        const some = asEvents.slice(i, i + mostAtOnce);
        const body = some.map(({ event }) => event);
        const items = some.map(({ item }) => item);
        all.push(request(`${path}/events`, body, items));
      }
      return all;
    });
  }

  return {
    next() {
      const requests = requestsOf(worker.nextActivity());
      // A bucket is made before anything is put into it.
      if (random.chance(0.1) && requests.every(({ items }) => items.length > 0)) {
        late.push(...requests);
        return [];
      }
      if (random.chance(0.2)) {
        requests.push(...late);
        late = [];
      }
      return random.chance(0.05) ? [...requests, ...requests] : requests;
    },
    rest: () => late,
  };
}

/** A plugin speaks every two minutes while somebody writes, or sooner. */
const beatMs = 120_000;

/** An agent that is a plugin of WakaTime: instants, sent in any order and twice; what lies between two of them is time. */
export function createWakaTime(worker: Worker, random: Random): Script {
  const agent = 'wakatime/v1.102.1 (linux-6.1.0-unknown) go1.22.4 vscode/1.91.1 vscode-wakatime/24.6.0';
  let stored: { beat: object; item: WirePing }[] = [];

  function sent(beats: readonly { beat: object; item: WirePing }[]): PingRequest[] {
    const all: PingRequest[] = [];
    for (let i = 0; i < beats.length; i += mostAtOnce) {
      const some = beats.slice(i, i + mostAtOnce);
      const path = '/api/v1/users/current/heartbeats.bulk';
      const body = some.map(({ beat }) => beat);
      all.push(
        request(
          path,
          body,
          some.map(({ item }) => item),
          { status: 202, protocol: 'wakatime' },
        ),
      );
    }
    return all;
  }

  return {
    next() {
      const [first] = worker.nextActivity();
      const [from, to] = [Date.parse(first!.startedAt), Date.parse(first!.endedAt)];
      for (let at = from; at <= to; at += random.int(1, beatMs)) {
        const instant = new Date(at).toISOString();
        stored.push({
          beat: { entity: '/home/fleet/main.ts', type: 'file', time: at / 1_000, project: 'fleet', user_agent: agent },
          item: {
            id: first!.id,
            startedAt: instant,
            endedAt: instant,
            app: 'VS Code',
            source: 'editor',
            heartbeat: true,
          },
        });
      }
      // Plugins send what they have now and then.
      if (stored.length < random.int(1, 30)) return [];
      const requests = sent(random.chance(0.3) ? random.shuffled(stored) : stored);
      stored = random.chance(0.1) ? stored : [];
      return requests;
    },
    rest: () => sent(stored),
  };
}
