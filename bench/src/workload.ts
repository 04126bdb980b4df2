import type { PingEvent } from '@worktide/schemas';

/**
 * What the simulated agents see, the same for every way into the system. A user's time is cut into slots of ten
 * seconds, one ping each, without gaps; the app changes every 10 to 22 pings (about 16, so that a day of eight hours
 * gives some 180 entries, the density of "1,000 users, 4.5 M entries a month"). Everything follows from user and slot.
 */

export const slotMs = 10_000;
export const slotsPerDay = 86_400_000 / slotMs;

interface App {
  app: string;
  title: string;
  url?: string;
  host: string | null;
}

const site = (host: string, path: string, title: string): App => ({
  app: 'Firefox',
  title,
  url: `https://www.${host}/${path}`,
  host,
});
const program = (app: string, title: string): App => ({ app, title, host: null });

export const apps: readonly App[] = [
  program('Visual Studio Code', 'orders.ts - billing - Visual Studio Code'),
  site('github.com', 'example/billing/pull/482/files', 'Round once, at the end - Pull Request 482'),
  program('Slack', 'Slack | team-billing | Example Ltd'),
  site('mail.example.com', 'inbox/2026/11', 'Inbox (14) - Example Mail'),
  program('Terminal', 'npm test - billing - 120x40'),
  site('docs.example.com', 'handbook/invoices/rounding', 'Rounding of invoices - Handbook'),
  program('Figma', 'Invoice, second draft - Figma'),
];

/** An entry begins with each block; neighbours never show the same app. */
export const appAt = (user: number, slot: number): App =>
  apps[(Math.floor(slot / (10 + (user % 13))) + user) % apps.length]!;

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');

/** Of the form of a UUIDv7; one for each user and slot. */
export const pingId = (user: number, slot: number): string => `01940000-0000-7000-8000-${hex(user, 6)}${hex(slot, 6)}`;

export const userId = (user: number): string => `01930000-0000-7000-8000-${hex(user, 12)}`;
export const organizationId = '01920000-0000-7000-8000-000000000001';

/** The UTC midnight that began yesterday, so that a whole day of slots is neither too old nor in the future. */
export const yesterday = (now = Date.now()): number => Math.floor(now / 86_400_000 - 1) * 86_400_000;

/** As the gateway puts it on the log. */
export function pingEventAt(day: number, user: number, slot: number): PingEvent {
  const { app, title, url, host } = appAt(user, slot);
  const startedAt = day + slot * slotMs;
  return {
    id: pingId(user, slot),
    startedAt,
    endedAt: startedAt + slotMs,
    app,
    host,
    state: 'active',
    deviceId: 'bench',
    source: 'window',
    title,
    ...(url === undefined ? {} : { url }),
  };
}

/** As an agent posts them: JSON of `count` pings from a slot on. Built by hand, for it runs inside the load generator. */
export function createBodies(day: number): (user: number, firstSlot: number, count: number) => string {
  const instants = Array.from({ length: slotsPerDay + 1 }, (_, slot) => new Date(day + slot * slotMs).toISOString());
  const ends = apps.map(({ app, title, url }) => JSON.stringify({ app, title, url }).slice(1));
  const endOf = new Map(apps.map((app, i) => [app, ends[i]!]));
  return (user, firstSlot, count) => {
    let text = '';
    for (let i = 0; i < count; i++) {
      const slot = (firstSlot + i) % slotsPerDay;
      text += `${i === 0 ? '[' : ','}{"id":"${pingId(user, slot)}","startedAt":"${instants[slot]}","endedAt":"${
        instants[slot + 1]
      }",${endOf.get(appAt(user, slot))}`;
    }
    return `${text}]`;
  };
}
