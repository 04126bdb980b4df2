import { describe, expect, test } from '@jest/globals';
import { email, mailboxOf, plainText } from './auth.ts';
import { boundInstant, isTimezone, timezone } from './common.ts';

describe('addresses', () => {
  test('have one form, whatever the case, the letters or the spelling of the domain', () => {
    expect(mailboxOf(' Pat@Bücher.Example ')).toBe('pat@xn--bcher-kva.example');
    expect(email.parse('pat@xn--bcher-kva.example')).toBe(email.parse('PAT@bu\u0308cher.example'));
    expect(mailboxOf('Zoe\u0308.o’brien@example.com')).toBeUndefined();
    expect(mailboxOf("Zoe\u0308.o'brien+x@example.com")).toBe("zoë.o'brien+x@example.com");
  });

  test.each([
    'a,b@x.example',
    'pat(work)@x.example',
    'pat\u200b@x.example',
    '"pat"@x.example',
    'pat@x',
    'pat@x..example',
    'pat@-x.example',
    'pat@127.0.0.1',
    'pat@[127.0.0.1]',
    'pat@x.example:25',
    'pat@x.example/y',
    '.pat@x.example',
    'p..t@x.example',
    '@x.example',
    'pat@exa mple.com',
    'pat\u0000@x.example',
    'pat\ud800@x.example',
    'pat@x.example\nbcc: all@x.example',
    `${'p'.repeat(65)}@x.example`,
    `p@${'x'.repeat(64)}.example`,
    `p@${'x.'.repeat(124)}example`,
    'a@b@x.example',
  ])('that cannot be mailed are none: %j', (text) => {
    expect(email.safeParse(text).success).toBe(false);
  });
});

test('names are stored in one form', () => {
  expect(plainText(100).parse(' Zoe\u0308 ')).toBe('Zo\u00eb');
});

describe('zones', () => {
  test.each(['BST', 'bst', 'IST', 'CST', 'PST', 'JST', 'CEST', 'SystemV/EST5', '+05:00', ''])('%j is none', (zone) => {
    expect(timezone.safeParse(zone).success).toBe(false);
  });

  test.each(['GB', 'EST5EDT', 'EST', 'MST', 'HST', 'CET', 'UTC', 'Asia/Kathmandu', 'US/Pacific'])(
    '%s is one',
    (zone) => {
      expect(timezone.parse(zone)).toBe(zone);
    },
  );

  test('no other name of three letters is taken than IANA has', () => {
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
    const taken = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c))).filter(isTimezone);
    // The files and links of three letters in tzdb 2026.
    expect(taken).toEqual(['CET', 'EET', 'EST', 'GMT', 'HST', 'MET', 'MST', 'PRC', 'ROC', 'ROK', 'UCT', 'UTC', 'WET']);
  });
});

test('instants of queries lie within the years that stores know', () => {
  expect(boundInstant.safeParse('9999-12-31T23:59:59-23:59').success).toBe(false);
  expect(boundInstant.safeParse('0000-01-01T00:00:00+23:59').success).toBe(true);
  expect(boundInstant.safeParse('2026-11-21T00:00:00+05:45').success).toBe(true);
});
