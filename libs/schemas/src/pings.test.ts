import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { epochMs } from './common.ts';
import { type PingEvent, pingEvent } from './ping-events.ts';
import { checkPing, defaultPingLimits, isProblem, type PingContext, type PingProblem } from './pings.ts';
import { readUrl } from './url.ts';

const nowMs = Date.parse('2026-03-10T12:00:00.000Z');
const context: PingContext = { nowMs, deviceId: 'dev-1', limits: defaultPingLimits };
const at = (offsetMs: number): string => new Date(nowMs + offsetMs).toISOString();
const good = {
  id: '019cd7a0-0000-7000-8000-000000000001',
  startedAt: at(-10_000),
  endedAt: at(-5_000),
  app: 'Editor',
};
const day = 86_400_000;

describe('checkPing', () => {
  test('a minimal ping gets the defaults: active, window, the credential’s device, no host', () => {
    expect(checkPing(good, context)).toEqual({
      id: good.id,
      startedAt: nowMs - 10_000,
      endedAt: nowMs - 5_000,
      app: 'Editor',
      host: null,
      state: 'active',
      deviceId: 'dev-1',
      source: 'window',
    });
  });

  test('everything that may be said is kept; what is unknown is ignored; offsets are read', () => {
    const whole = {
      ...good,
      startedAt: '2026-03-10T13:30:00.250+02:00',
      endedAt: '2026-03-10T11:31:00Z',
      title: 'A page',
      url: 'https://www.Example.com:8443/a?b#c',
      state: 'idle',
      deviceId: 'other',
      source: 'web',
      projectId: good.id,
      timeEntryId: good.id,
      userId: 'not mine to say',
    };
    const event = checkPing(whole, context);
    expect(event).toMatchObject({
      host: 'example.com',
      state: 'idle',
      deviceId: 'other',
      source: 'web',
      title: 'A page',
    });
    expect(event).toMatchObject({ startedAt: Date.parse('2026-03-10T11:30:00.250Z') });
    expect(event).not.toHaveProperty('userId');
    expect(pingEvent.safeParse(event).success).toBe(true);
  });

  test.each([
    ['null', null, 'NOT_A_PING'],
    ['text', 'ping', 'NOT_A_PING'],
    ['a list', [good], 'NOT_A_PING'],
    ['no id', { ...good, id: undefined }, 'MISSING_FIELD'],
    ['an id that is none', { ...good, id: 'x' }, 'INVALID_ID'],
    ['no app', { ...good, app: undefined }, 'MISSING_FIELD'],
    ['an app that is a number', { ...good, app: 5 }, 'WRONG_TYPE'],
    ['a title that is a number', { ...good, title: 7 }, 'WRONG_TYPE'],
    ['a url that is a list', { ...good, url: [] }, 'WRONG_TYPE'],
    ['a project that is false', { ...good, projectId: false }, 'WRONG_TYPE'],
    ['an app that is null', { ...good, app: null }, 'WRONG_TYPE'],
    ['an empty app', { ...good, app: '' }, 'APP_EMPTY'],
    ['a long app', { ...good, app: 'x'.repeat(257) }, 'APP_TOO_LONG'],
    ['a time that is a number', { ...good, startedAt: nowMs }, 'WRONG_TYPE'],
    ['a time without a zone', { ...good, startedAt: '2026-03-10T11:00:00' }, 'INVALID_TIME'],
    ['the 30th of February', { ...good, startedAt: '2026-02-30T11:00:00Z' }, 'INVALID_TIME'],
    ['an end before its start', { ...good, endedAt: at(-10_001) }, 'END_BEFORE_START'],
    ['more than a day', { ...good, startedAt: at(-day - 6_000) }, 'TOO_LONG'],
    ['more than 90 days ago', { ...good, startedAt: at(-90 * day - 1), endedAt: at(-90 * day) }, 'TOO_OLD'],
    ['more than 5 minutes ahead', { ...good, endedAt: at(300_001) }, 'IN_FUTURE'],
    ['a state of its own', { ...good, state: 'asleep' }, 'INVALID_STATE'],
    ['a long device', { ...good, deviceId: 'x'.repeat(129) }, 'INVALID_DEVICE_ID'],
    ['a project that is no id', { ...good, projectId: 'x' }, 'INVALID_PROJECT_ID'],
    ['a time entry that is no id', { ...good, timeEntryId: 'x' }, 'INVALID_TIME_ENTRY_ID'],
    ['a NUL', { ...good, source: 'a\u0000b' }, 'INVALID_TEXT'],
    ['half of a surrogate pair', { ...good, app: 'a\ud800' }, 'INVALID_TEXT'],
  ])('%s → its own code', (_what, ping, code) => {
    expect(checkPing(ping, context)).toMatchObject({ code });
  });

  test.each([null, ''])('%j of what is optional is as if it were absent', (nothing) => {
    const fields = ['title', 'url', 'state', 'deviceId', 'source', 'projectId', 'timeEntryId'];
    const warnings: PingProblem[] = [];
    for (const given of [...fields.map((field) => [field]), fields]) {
      const said = Object.fromEntries(given.map((field) => [field, nothing]));
      expect(checkPing({ ...good, ...said }, context, warnings)).toEqual(checkPing(good, context));
    }
    expect(warnings).toEqual([]);
  });

  test.each([
    ['of 1,024 characters', 'x'.repeat(1_024), 'x'.repeat(1_024), []],
    ['of 1,025 characters', 'x'.repeat(1_025), 'x'.repeat(1_024), ['TITLE_TOO_LONG']],
    ['long, of long characters', '🙂'.repeat(5_000), '🙂'.repeat(1_024), ['TITLE_TOO_LONG']],
    ['cut in half a character', 'a\ud83d', 'a', ['INVALID_TEXT']],
    ['long, and cut in half a character', `${'🙂'.repeat(1_030)}\ud83d`, '🙂'.repeat(1_024), ['TITLE_TOO_LONG']],
    ['that begins with half a character', '\ude42 a', '\ufffd a', ['INVALID_TEXT']],
    ['with a NUL', 'a\u0000b', 'a\ufffdb', ['INVALID_TEXT']],
    ['that is half a character', '\ud83d', undefined, ['INVALID_TEXT']],
  ])('a title %s is kept as far as it can be', (_what, title, kept, codes) => {
    const warnings: PingProblem[] = [];
    const event = { ...(checkPing(good, context) as PingEvent), ...(kept === undefined ? {} : { title: kept }) };
    expect(checkPing({ ...good, title }, context, warnings)).toEqual(event);
    expect(warnings.map(({ code }) => code)).toEqual(codes);
  });

  test.each([
    ['long', `https://e.com/${'x'.repeat(2_048)}`, 'URL_TOO_LONG'],
    ['relative', '/path', 'INVALID_URL'],
    ['broken', 'https://[', 'INVALID_URL'],
    ['javascript:', 'javascript:alert(1)', 'URL_SCHEME_REFUSED'],
    ['data:', 'data:text/html,x', 'URL_SCHEME_REFUSED'],
    ['with a NUL', 'https://e.com/\u0000', 'INVALID_TEXT'],
    ['cut in half a character', 'https://e.com/\ud83d', 'INVALID_TEXT'],
  ])('a url that is %s is left out, and the ping kept', (_what, url, code) => {
    const warnings: PingProblem[] = [];
    expect(checkPing({ ...good, url }, context, warnings)).toEqual(checkPing(good, context));
    expect(warnings).toMatchObject([{ code }]);
  });

  test('what is refused is not warned of', () => {
    const warnings: PingProblem[] = [];
    expect(checkPing({ ...good, url: '/', title: 'x'.repeat(2_000), endedAt: at(-day) }, context, warnings)).toEqual({
      code: 'END_BEFORE_START',
      message: 'endedAt is before startedAt.',
    });
    expect(warnings).toEqual([]);
  });

  test.each([
    ['an instant', { ...good, endedAt: good.startedAt }],
    ['exactly a day', { ...good, startedAt: at(-day - 5_000) }],
    ['exactly 90 days ago', { ...good, startedAt: at(-90 * day), endedAt: at(-90 * day) }],
    ['exactly 5 minutes ahead', { ...good, endedAt: at(300_000) }],
    ['256 characters outside the basic plane', { ...good, app: '🙂'.repeat(256) }],
    ['a device of 128 characters', { ...good, deviceId: 'x'.repeat(128) }],
  ])('%s is taken', (_what, ping) => {
    expect(isProblem(checkPing(ping, context))).toBe(false);
  });

  test('whatever arrives: a verdict, never a throw, and what passes fits the topic', () => {
    const field = fc.oneof(fc.string({ unit: 'binary' }), fc.anything(), fc.constant(good.startedAt));
    const pings = fc.record(
      {
        id: fc.oneof(fc.uuid(), field),
        startedAt: field,
        endedAt: field,
        app: field,
        title: field,
        url: fc.oneof(fc.webUrl(), field),
        state: field,
        deviceId: field,
        source: field,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(pings, fc.anything()), (value) => {
        const checked = checkPing(value, context);
        if (isProblem(checked)) expect(checked.code).toMatch(/^[A-Z_]+$/);
        else expect(pingEvent.safeParse(checked).success).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('readUrl', () => {
  test.each([
    ['https://www.example.com/x', 'example.com'],
    ['HTTP://WWW.Example.COM', 'example.com'],
    ['http://example.com:8080/', 'example.com'],
    ['https://sub.www.example.com', 'sub.www.example.com'],
    ['http://127.1/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://[::1]:3000/', '[::1]'],
    ['http://localhost:3000/', 'localhost'],
    ['https://bücher.example/', 'xn--bcher-kva.example'],
    ['https://example.com./', 'example.com'],
    ['https://www.example.com./', 'example.com'],
    ['https://www.example.com.:8443/', 'example.com'],
    ['https://www.com/', 'www.com'],
    ['https://www.com./x', 'www.com'],
    ['https://www.localhost/', 'www.localhost'],
    ['https://www./', 'www'],
    ['http://127.0.0.1./', '127.0.0.1'],
    [`https://www.${'a.'.repeat(124)}de./`, `${'a.'.repeat(124)}de`],
  ])('%s → %s', (url, host) => {
    expect(readUrl(url)).toEqual({ url, host });
  });

  test('other schemes keep the scheme alone', () => {
    for (const [url, scheme] of [
      ['about:blank', 'about:'],
      ['chrome://settings/passwords', 'chrome:'],
      ['file:///home/me/secret.txt', 'file:'],
    ] as const) {
      expect(readUrl(url)).toEqual({ url: scheme, host: null });
    }
  });

  test('credentials in an address are not kept', () => {
    expect(readUrl('https://me:secret@example.com/x')).toEqual({ url: 'https://example.com/x', host: 'example.com' });
  });

  test.each([
    [`http://u@e.example/${'😀'.repeat(1_400)}`, `http://e.example/${'😀'.repeat(1_400)}`],
    ['http://a:b@c:d@e.example?x@y', 'http://e.example?x@y'],
    ['HTTP:\\\\u@e.example\\x@y', 'HTTP:\\\\e.example\\x@y'],
    [' https:u@bücher.example#@', ' https:bücher.example#@'],
    ['ht\ttps://u:\np@e.example/ü', 'https://e.example/ü'],
    ['http://u@e.example/@v', 'http://e.example/@v'],
  ])('%# without its credentials, the rest as it was given', (given, kept) => {
    expect(readUrl(given)).toMatchObject({ url: kept });
  });

  test('whatever names a user: it is gone, the address is the same, and it is no longer than before', () => {
    const slashes = fc.constantFrom('//', '', '/', '\\\\', '/\\/');
    const text = fc.string({ unit: fc.constantFrom('a', '@', ':', '%40', '😀', 'ü', '\t', '&', ' ', '[') });
    const rest = fc.string({ unit: fc.constantFrom('a', '@', '/', '?', '#', '😀', '\\', ' ', '%', '..') });
    fc.assert(
      fc.property(
        slashes,
        text,
        fc.constantFrom('e.example', 'bücher.example:81', '[::1]'),
        rest,
        (s, user, host, r) => {
          const given = `http:${s}${user}@${host}/${r}`;
          fc.pre(URL.canParse(given) && new URL(given).username !== '');
          const read = readUrl(given) as { url: string };
          const [was, now] = [new URL(given), new URL(read.url)];
          expect([now.username, now.password]).toEqual(['', '']);
          was.username = was.password = '';
          expect(now.href).toBe(was.href);
          expect(read.url.length).toBeLessThan(given.length);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('the quick way and the parser agree', () => {
    fc.assert(
      fc.property(fc.webUrl({ withFragments: true, withQueryParameters: true }), (url) => {
        const host = new URL(url).hostname.replace(/^www\.(?=.*\.)/, '');
        expect(readUrl(url)).toEqual({ url, host });
        expect(readUrl(url.replace(/^(https?:\/\/[^/?#:]*)/, '$1.'))).toMatchObject({ host });
      }),
      { numRuns: 1_000 },
    );
  });
});

test('epochMs reads what Date.parse reads', () => {
  const dates = fc.date({
    min: new Date('0000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(dates, (date) => expect(epochMs(date.toISOString())).toBe(date.getTime())),
    { numRuns: 1_000 },
  );
  for (const text of [
    '2026-03-10T13:30:00+02:00',
    '2026-03-10T13:30:00Z',
    '2026-03-10T13:30:00.12345Z',
    '2026-03-10T13:30:00.1+01:00',
    '2024-02-29T23:59:59.9999Z',
  ]) {
    expect(epochMs(text)).toBe(Date.parse(text));
  }
});
