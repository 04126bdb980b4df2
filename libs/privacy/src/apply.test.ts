import { describe, expect, test } from '@jest/globals';
import {
  checkPing,
  defaultPingLimits,
  isPingEvent,
  type PingEvent,
  type PrivacyRules,
  privacyChange,
  privacyRules,
  weekdays,
} from '@worktide/schemas';
import fc from 'fast-check';
import { applyPrivacy, compilePrivacy, takenAt } from './apply.ts';

const at = Date.parse('2026-11-25T10:00:00Z');
const now = Date.parse('2026-11-25T12:00:00Z');
const person = { timezone: 'UTC' };
const ping = (more: Partial<PingEvent> = {}): PingEvent => ({
  id: '019cd7a0-0000-7000-8000-000000000001',
  startedAt: at,
  endedAt: at + 60_000,
  app: 'Firefox',
  host: 'mail.example.com',
  title: 'Inbox',
  url: 'https://www.mail.example.com:8443/inbox?from=doctor',
  state: 'active',
  deviceId: 'laptop',
  source: 'window',
  ...more,
});
/** As an organisation may set them. */
const rulesOf = (given: object): PrivacyRules => privacyRules.parse(privacyChange.parse({ version: 0, ...given }));
const apply = (given: object, one = ping(), observed: Parameters<typeof applyPrivacy>[2] = person) =>
  applyPrivacy(compilePrivacy(rulesOf(given)), one, observed, now);

describe('rules', () => {
  test('without any the ping is what it was', () => {
    const one = ping();
    expect(apply({}, one)).toEqual({ pings: [one], taken: [] });
  });

  test.each([
    ['an application, however it is written', { apps: ['FIREFOX'] }, true],
    ['part of an application', { apps: ['fire*'] }, true],
    ['another application', { apps: ['fire'] }, false],
    ['a host', { hosts: ['www.Mail.Example.com'] }, true],
    ['a site and all below it', { hosts: ['*.example.com'] }, true],
    ['a site and all below it, the site itself', { hosts: ['*.mail.example.com'] }, true],
    ['another host', { hosts: ['example.com'] }, false],
    ['an application or a host', { apps: ['Outlook'], hosts: ['mail.*'] }, true],
  ])('drop by %s', (_, what, expected) => {
    const kept = apply({ rules: [{ id: 'r', kind: 'drop', ...what }] });
    expect(kept).toEqual(expected ? { pings: [], taken: ['drop'] } : { pings: [ping()], taken: [] });
  });

  test('redact-title and host-only take that, and nothing else', () => {
    const { title: _, ...rest } = ping();
    expect(apply({ rules: [{ kind: 'redact-title', apps: ['firefox'] }] })).toEqual({
      pings: [rest],
      taken: ['redact-title'],
    });
    expect(apply({ rules: [{ kind: 'host-only', hosts: ['mail.example.com'] }] })).toEqual({
      pings: [ping({ url: 'https://www.mail.example.com/' })],
      taken: ['host-only'],
    });
  });

  test('titles never, urls host: of everything', () => {
    const { title: _, ...rest } = ping({ url: 'https://www.mail.example.com/' });
    expect(apply({ titles: 'never', urls: 'host' })).toEqual({ pings: [rest], taken: ['titles', 'urls'] });
    // A scheme without hosts is all that was kept.
    expect(apply({ urls: 'host' }, ping({ url: 'file:', host: null })).taken).toEqual([]);
  });

  test('a private window is kept nowhere, without any rule', () => {
    const kept = applyPrivacy(compilePrivacy(rulesOf({})), ping(), person, now, { privateWindow: true });
    expect(kept).toEqual({ pings: [], taken: ['private-window'] });
  });

  test.each([
    ['no apps and no hosts', [{ kind: 'drop' }]],
    ['an empty pattern', [{ kind: 'drop', apps: [' '] }]],
    ['another wildcard', [{ kind: 'drop', apps: ['a?'] }]],
    ['an address for a host', [{ kind: 'drop', hosts: ['https://example.com/'] }]],
    ['a pattern too long', [{ kind: 'drop', apps: ['a'.repeat(101)] }]],
    [
      'too many in all',
      [0, 1, 2].map((n) => ({ kind: 'drop', apps: Array.from({ length: 70 }, (_, i) => `${n} ${i}`) })),
    ],
    ['one id twice', [0, 1].map(() => ({ id: 'same', kind: 'drop', apps: ['a'] }))],
    ['a field that there is not', [{ kind: 'drop', apps: ['a'], titles: ['b'] }]],
  ])('%s is no rule', (_, rules) => {
    expect(privacyChange.safeParse({ version: 0, rules }).success).toBe(false);
  });
});

describe('a pause', () => {
  const pause = { from: at + 10_000, until: at + 20_000 };

  test('while it holds nothing is kept, whatever time it is about', () => {
    const holding = { from: now - 1, until: now + 1 };
    expect(apply({}, ping(), { ...person, pause: holding })).toEqual({ pings: [], taken: ['pause'] });
  });

  test('afterwards what lies in it is cut out, whenever it comes', () => {
    const { pings, taken } = apply({}, ping(), { ...person, pause });
    expect(pings.map(({ startedAt, endedAt }) => [startedAt - at, endedAt - at])).toEqual([
      [0, 10_000],
      [20_000, 60_000],
    ]);
    expect(taken).toEqual(['pause']);
    expect(pings[0]!.id).toBe(ping().id);
    expect(new Set(pings.map(({ id }) => id)).size).toBe(2);
    expect(pings.every(isPingEvent)).toBe(true);
    expect(apply({}, ping(), { ...person, pause })).toEqual({ pings, taken });
  });

  test('of a minute that touches it nothing is kept', () => {
    const none = compilePrivacy(rulesOf({}));
    const minute = (start: number) => takenAt(none, { start, end: start + 60_000 }, { ...person, pause }, now);
    expect([minute(at), minute(at + 20_000), minute(at - 50_000)]).toEqual(['pause', undefined, undefined]);
  });
});

describe('tracking hours', () => {
  const office = {
    timezone: 'user',
    days: {
      wed: [
        ['10:00', '10:01'],
        ['10:02', '24:00'],
      ],
    },
  };

  test('cut what lies outside, and an instant is in or out', () => {
    const { pings, taken } = apply({ trackingHours: office }, ping({ startedAt: at - 1_000, endedAt: at + 180_000 }));
    expect(pings.map(({ startedAt, endedAt }) => [startedAt - at, endedAt - at])).toEqual([
      [0, 60_000],
      [120_000, 180_000],
    ]);
    expect(taken).toEqual(['hours']);
    const instant = (ms: number) => apply({ trackingHours: office }, ping({ startedAt: ms, endedAt: ms })).pings;
    expect(instant(at)).toEqual([ping({ startedAt: at, endedAt: at })]);
    expect(instant(at + 60_000)).toEqual([]);
  });

  test('a day that is not named has none', () => {
    expect(apply({ trackingHours: { timezone: 'UTC', days: {} } })).toEqual({ pings: [], taken: ['hours'] });
  });

  const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'America/Havana', 'Australia/Lord_Howe', 'Pacific/Apia'];
  /** Around the changes of those clocks, among them a day that was skipped. */
  const changes = [
    '2026-03-29T01:00:00Z',
    '2026-10-25T01:00:00Z',
    '2026-03-08T07:00:00Z',
    '2026-11-01T05:00:00Z',
    '2026-04-04T15:00:00Z',
    '2026-10-03T15:30:00Z',
    '2011-12-30T10:00:00Z',
    '2026-11-25T10:00:00Z',
  ].map((text) => Date.parse(text));
  const clock = fc.integer({ min: 0, max: 24 * 4 }).map((quarters) => {
    const minutes = quarters * 15;
    return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  });
  const hours = fc.tuple(clock, clock).filter(([from, to]) => from < to);
  const days = fc.record(
    Object.fromEntries(weekdays.map((day) => [day, fc.array(hours, { maxLength: 3 })])) as Record<
      (typeof weekdays)[number],
      fc.Arbitrary<[string, string][]>
    >,
  );

  test('keep each millisecond at which the clock of the zone shows such an hour, and no other, whatever is done to clocks', () => {
    fc.assert(
      fc.property(
        days,
        fc.constantFrom(...zones),
        fc.constantFrom(...changes),
        fc.integer({ min: -20 * 3_600_000, max: 4 * 3_600_000 }),
        fc.integer({ min: 1, max: 24 * 3_600_000 }),
        (named, zone, change, from, length) => {
          const one = ping({ startedAt: change + from, endedAt: change + from + length });
          const { pings } = apply({ trackingHours: { timezone: 'user', days: named } }, one, { timezone: zone });
          const shown = new Intl.DateTimeFormat('en-GB', {
            timeZone: zone,
            weekday: 'short',
            hour: '2-digit',
            minute: '2-digit',
            hourCycle: 'h23',
          });
          const allowed = (instant: number): boolean => {
            const parts = Object.fromEntries(shown.formatToParts(instant).map(({ type, value }) => [type, value]));
            const time = `${parts.hour}:${parts.minute}`;
            const day = parts.weekday!.toLowerCase() as (typeof weekdays)[number];
            return named[day]!.some(([first, last]) => first <= time && time < last);
          };
          const kept = (instant: number): boolean =>
            pings.some(({ startedAt, endedAt }) => startedAt <= instant && instant < endedAt);
          // Edges of pieces, and quarters of an hour: between two of them nothing can change.
          const quarter = 900_000;
          const looks = pings.flatMap(({ startedAt, endedAt }) => [startedAt - 1, startedAt, endedAt - 1, endedAt]);
          for (let t = Math.floor(one.startedAt / quarter) * quarter; t <= one.endedAt; t += quarter)
            looks.push(t - 1, t);
          for (const instant of looks) {
            if (instant < one.startedAt || instant >= one.endedAt) continue;
            if (kept(instant) !== allowed(instant)) throw new Error(`${new Date(instant).toISOString()} in ${zone}`);
          }
          expect(pings.every(isPingEvent)).toBe(true);
        },
      ),
      { numRuns: 400 },
    );
  });
});

test.each([
  `https://www.clinic.example/?q=${'x'.repeat(3_000)}`,
  'https://clinic.example:99999/',
  'http://a@b.clinic.example:x/',
])('a rule for hosts holds for an address that is left out of the ping (%#)', (url) => {
  const given = { id: ping().id, startedAt: '2026-05-04T08:00:00Z', endedAt: '2026-05-04T08:01:00Z', app: 'A', url };
  const context = { nowMs: Date.parse('2026-05-04T09:00:00Z'), deviceId: 'd', limits: defaultPingLimits };
  const sent = checkPing(given, context) as PingEvent;
  expect(sent).not.toHaveProperty('url');
  const rules = privacyRules.parse({ rules: [{ id: 'clinic', kind: 'drop', hosts: ['*.clinic.example'] }] });
  const kept = applyPrivacy(compilePrivacy(rules), sent, { timezone: 'UTC' }, context.nowMs);
  expect(kept).toEqual({ pings: [], taken: ['drop'] });
});
