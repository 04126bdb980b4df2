import type { WirePing } from '../oracle/ledger.ts';
import type { State } from '../oracle/merge.ts';
import type { Random } from '../random.ts';
import { apps, browsers, editors, hosts, urlOf } from './catalog.ts';
import { type Shift, shifts } from './shifts.ts';

const minuteMs = 60_000;

/** No activity reaches further than this past its shift, so that none lies in the future. */
export const longestActivityMs = 25 * minuteMs;

export interface WorkerOptions {
  zone: string;
  /** "Now" of the simulated time, epoch ms. */
  now: number;
  days: number;
  deviceId: string;
  /** Put `deviceId` into every ping, for credentials whose own device is not known. */
  nameDevice?: boolean;
  /** Other devices of the same user, which a ping may name instead. */
  otherDevices: readonly string[];
  random: Random;
  /** Apart from `random`, so that ids differ between runs whose agents do the same. */
  ids: Random;
}

/** One person at one device: what its watchers see, activity by activity, in simulated time. */
export interface Worker {
  /** The pings of the next activity, of all watchers of the device; never empty. */
  nextActivity(): WirePing[];
}

type Seen = Pick<WirePing, 'app' | 'url' | 'title' | 'state' | 'source'>;

export function createWorker(options: WorkerOptions): Worker {
  const { zone, now, days, random } = options;
  const schedule = shifts(zone, now - longestActivityMs - 10 * minuteMs, days, random);
  const watchers = { web: random.chance(0.6), editor: random.chance(0.5), afk: random.chance(0.5) };
  let shift: Shift = schedule.next().value;
  let at = shift.from;

  /** The same instant in one of the forms that ISO 8601 has for it. */
  function instant(ms: number): string {
    if (random.chance(0.9)) return new Date(ms).toISOString();
    if (ms % 1000 === 0) return `${new Date(ms).toISOString().slice(0, 19)}Z`;
    const minutes = random.pick([345, -210, 60, -300, 765]);
    const sign = minutes < 0 ? '-' : '+';
    const two = (n: number): string => String(Math.floor(n)).padStart(2, '0');
    const local = new Date(ms + minutes * minuteMs).toISOString().slice(0, -1);
    return `${local}${sign}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
  }

  function ping(from: number, to: number, seen: Seen): WirePing {
    const made: WirePing = {
      id: options.ids.uuidv7(to),
      startedAt: instant(from),
      endedAt: instant(to),
      app: seen.app,
    };
    if (seen.title !== undefined) made.title = seen.title;
    if (seen.url !== undefined) made.url = seen.url;
    if (seen.state !== undefined && (seen.state === 'idle' || random.chance(0.5))) made.state = seen.state;
    if (seen.source !== undefined && (seen.source !== 'window' || random.chance(0.5))) made.source = seen.source;
    if (options.nameDevice || random.chance(0.3)) made.deviceId = options.deviceId;
    else if (options.otherDevices.length > 0 && random.chance(0.03)) made.deviceId = random.pick(options.otherDevices);
    return made;
  }

  /** A step to the next ping of a watcher: mostly touching, sometimes about its gap or overlapping. */
  function step(gapMs: number): number {
    const kind = random.next();
    if (kind < 0.6) return 0;
    if (kind < 0.75) return random.int(1, gapMs + 1);
    if (kind < 0.8) return gapMs - 1;
    if (kind < 0.85) return gapMs;
    if (kind < 0.9) return gapMs + 1;
    return -random.int(1, 5_000);
  }

  /** What one watcher reports of [from, to): pieces that touch, miss or overlap each other. */
  function watch(from: number, to: number, seen: Seen, gapMs: number): WirePing[] {
    const pings: WirePing[] = [];
    for (let t = from; t < to && pings.length < 8; ) {
      const end = random.chance(0.05) ? t : Math.min(to, t + random.int(1_000, 5 * minuteMs));
      pings.push(ping(t, end, seen));
      t = Math.max(from, end + step(gapMs)) + (end === t ? 1 : 0);
    }
    return pings;
  }

  /** What the watcher of input reports: now and then somebody is away while a window stays in front. */
  function presence(from: number, to: number, state: State): WirePing[] {
    const seen = (s: State): Seen => ({ app: 'afk', state: s, source: 'afk' });
    if (state === 'idle' || to - from < 10_000 || !random.chance(0.2)) return [ping(from, to, seen(state))];
    const gone = random.int(from, to - 5_000);
    const back = random.int(gone + 1, to);
    return [ping(from, gone, seen('active')), ping(gone, back, seen('idle')), ping(back, to, seen('active'))];
  }

  function activityLength(): number {
    const heavyTailed = -Math.log(1 - random.next()) * 4 * minuteMs;
    return Math.round(Math.min(longestActivityMs, Math.max(1_000, heavyTailed)));
  }

  /** Where the next activity begins: at once, after a pause, or somewhere else because the clock was set. */
  function advance(end: number): void {
    const kind = random.next();
    if (kind < 0.55) at = end;
    else if (kind < 0.7) at = end + random.int(1, 29_999);
    else if (kind < 0.76) at = end + random.pick([29_999, 30_000, 30_001, 31_000]);
    else if (kind < 0.92) at = end + random.int(31_000, 5 * minuteMs);
    else if (kind < 0.96) at = end + random.int(5, 50) * minuteMs;
    else at = Math.max(shift.from, end + random.int(-15, 5) * minuteMs - random.int(0, 999));
    if (at >= shift.to) {
      shift = schedule.next().value;
      at = shift.from;
    }
  }

  return {
    nextActivity() {
      const from = at;
      const to = from + activityLength();
      const state: State = random.chance(0.12) ? 'idle' : 'active';
      const kind = random.next();
      const pings: WirePing[] = [];
      if (kind < 0.35) {
        const app = random.pick(browsers);
        const url = (): string => (random.chance(0.06) ? 'about:blank' : urlOf(random.pick(hosts), random));
        pings.push(...watch(from, to, { app, url: url(), state, title: 'Inbox – 3 unread' }, 30_000));
        if (watchers.web) pings.push(...watch(from, to, { app, url: url(), state, source: 'web' }, 30_000));
      } else if (kind < 0.55) {
        const app = random.pick(editors);
        pings.push(...watch(from, to, { app, state, title: 'main.ts' }, 30_000));
        if (watchers.editor) pings.push(...watch(from, to, { app, state, source: 'editor' }, 15 * minuteMs));
      } else {
        pings.push(...watch(from, to, { app: random.pick(apps), state, source: 'window' }, 30_000));
      }
      if (watchers.afk) pings.push(...presence(from, to, state));
      // A second watcher under the same name that sees something else.
      if (random.chance(0.03))
        pings.push(...watch(from + 500, to, { app: random.pick(apps), state: 'active' }, 30_000));
      advance(to);
      return pings;
    },
  };
}
