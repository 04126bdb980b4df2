import { dayStart, localDate } from './oracle/days.ts';
import type { WirePing } from './oracle/ledger.ts';
import { createRandom, type Random } from './random.ts';

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** Something a person does for a while: an app, maybe a page in it. */
interface Activity {
  app: string;
  title: string;
  url?: string;
  /** Seen by the editor's plug-in too. */
  editor?: boolean;
  /** How often, against the others. */
  weight: number;
  minutes: readonly [number, number];
}

const activities: readonly Activity[] = [
  { app: 'Visual Studio Code', title: 'checkout.ts — storefront', editor: true, weight: 9, minutes: [12, 50] },
  { app: 'Terminal', title: 'npm test', weight: 4, minutes: [2, 9] },
  { app: 'Google Chrome', title: 'Pull requests', url: 'https://github.com/pulls', weight: 4, minutes: [3, 18] },
  { app: 'Google Chrome', title: 'Sprint board', url: 'https://linear.app/northwind', weight: 2, minutes: [2, 8] },
  { app: 'Google Chrome', title: 'Quarterly plan', url: 'https://docs.google.com/d/1', weight: 2, minutes: [5, 25] },
  { app: 'Google Chrome', title: 'Hacker News', url: 'https://news.ycombinator.com/', weight: 1, minutes: [2, 6] },
  { app: 'Slack', title: '#storefront', weight: 5, minutes: [2, 10] },
  { app: 'Figma', title: 'Checkout, second draft', weight: 2, minutes: [8, 30] },
  { app: 'Mail', title: 'Inbox', weight: 3, minutes: [3, 12] },
  { app: 'Zoom', title: 'Weekly', weight: 1, minutes: [25, 45] },
];

/** Each as often as it weighs. */
const weighted = activities.flatMap((activity) => new Array<Activity>(activity.weight).fill(activity));

const choose = (random: Random): Activity => random.pick(weighted);

/** What one stretch of an activity looks like to the watchers of a device. */
export function pingsOf(activity: Activity, from: number, to: number, random: Random): WirePing[] {
  const { app, title, url } = activity;
  const pings: WirePing[] = [];
  const add = (source: string, start: number, end: number, more: Partial<WirePing>): void => {
    const times = { startedAt: new Date(start).toISOString(), endedAt: new Date(end).toISOString() };
    pings.push({ id: random.uuidv7(end), ...times, app, source, ...more });
  };
  for (let start = from; start < to; start += 4 * minuteMs) {
    const end = Math.min(to, start + 4 * minuteMs);
    add('window', start, end, { title });
    if (url !== undefined) add('web', start, end, { title, url });
    if (activity.editor) add('editor', start, end, { title });
  }
  return pings;
}

/** Working hours of a local day as [from, to) stretches; none on weekends. */
function stretches(midnight: number, random: Random): [number, number][] {
  const weekday = new Date(midnight + 12 * hourMs).getUTCDay();
  if (weekday === 0 || weekday === 6) return [];
  const start = midnight + 8.5 * hourMs + random.int(0, 60) * minuteMs;
  const lunch = midnight + 12 * hourMs + random.int(0, 40) * minuteMs;
  const back = lunch + random.int(30, 60) * minuteMs;
  const end = midnight + 17 * hourMs + random.int(0, 75) * minuteMs;
  const evening = midnight + 20.5 * hourMs;
  const late: [number, number][] = random.chance(0.2) ? [[evening, evening + random.int(30, 100) * minuteMs]] : [];
  return [[start, lunch], [back, end], ...late];
}

/** The work of one person at one device over the local days before `now`, up to now, in order of time. */
export function workHistory(options: { now: number; days: number; zone: string; seed: string }): WirePing[] {
  const { now, days, zone } = options;
  const random = createRandom(options.seed);
  const pings: WirePing[] = [];
  for (let back = days; back >= 0; back--) {
    for (const [from, until] of stretches(dayStart(localDate(now - back * dayMs, zone), zone), random)) {
      for (let at = from; at < Math.min(until, now); ) {
        const activity = choose(random);
        const to = Math.min(until, now, at + random.int(...activity.minutes) * minuteMs);
        pings.push(...pingsOf(activity, at, to, random));
        at = to + (random.chance(0.7) ? random.int(0, 20) * secondMs : 0);
        if (random.chance(0.15)) {
          // Coffee: the screen stays, nobody is there.
          const idle = pingsOf(activity, at, Math.min(now, at + random.int(5, 15) * minuteMs), random);
          pings.push(...idle.filter((p) => p.source === 'window').map((p) => ({ ...p, state: 'idle' as const })));
          at += 15 * minuteMs;
        }
      }
    }
  }
  return pings;
}

/** What a person is at just now: the same thing for a while, then another. */
export function createPresent(seed: string): { ping(from: number, to: number): WirePing[] } {
  const random = createRandom(seed);
  let activity = choose(random);
  let until = 0;
  return {
    ping(from, to) {
      if (from >= until) {
        activity = choose(random);
        until = from + random.int(1, 5) * minuteMs;
      }
      return pingsOf(activity, from, to, random);
    },
  };
}
