import { describe, expect, test } from '@jest/globals';
import { hosts, urlOf } from '../agents/catalog.ts';
import { createRandom } from '../random.ts';
import { hostOf } from './host.ts';
import { createLedger, type WirePing } from './ledger.ts';
import { dayReport, daysTouched } from './reports.ts';

const ping = (startedAt: string, endedAt: string, more: Partial<WirePing> = {}): WirePing => ({
  id: '019cd7a0-0000-7000-8000-000000000001',
  startedAt: `2026-11-20T${startedAt}Z`,
  endedAt: `2026-11-20T${endedAt}Z`,
  app: 'Code',
  ...more,
});

describe('the ledger', () => {
  test('knows the defaults of a ping: device of the credential, source window, active, no host', () => {
    const ledger = createLedger();
    ledger.acknowledge('u', 'laptop', ping('10:00:00', '10:01:00'));
    ledger.acknowledge('u', 'laptop', ping('10:01:30', '10:02:00', { deviceId: 'laptop', source: 'window' }));
    ledger.acknowledge('u', 'desk', ping('10:00:00', '10:00:00', { url: 'https://www.github.com:443/a' }));
    expect(ledger.pings).toBe(3);
    expect(ledger.users()).toEqual(['u']);
    expect(ledger.entries('u')).toEqual([
      {
        deviceId: 'desk',
        source: 'window',
        startedAt: Date.UTC(2026, 10, 20, 10),
        endedAt: Date.UTC(2026, 10, 20, 10) + 1,
        key: { app: 'Code', host: 'github.com', state: 'active' },
      },
      {
        deviceId: 'laptop',
        source: 'window',
        startedAt: Date.UTC(2026, 10, 20, 10),
        endedAt: Date.UTC(2026, 10, 20, 10, 2),
        key: { app: 'Code', host: null, state: 'active' },
      },
    ]);
  });

  test('keeps streams apart, merges by the gap of the source, and repeats change nothing', () => {
    const ledger = createLedger();
    const sources = ['window', 'web', 'editor', 'afk'];
    for (const source of [...sources, ...sources]) {
      for (const [from, to] of [
        ['10:00:00', '10:01:00'],
        ['10:01:30', '10:02:00'],
        ['10:17:00', '10:18:00'],
      ] as const) {
        ledger.acknowledge('u', 'd', ping(from, to, { source }));
      }
    }
    const count = (source: string) => ledger.entries('u').filter((e) => e.source === source).length;
    expect(sources.map(count)).toEqual([2, 2, 1, 3]);
    expect(ledger.entries('nobody')).toEqual([]);
  });

  test('shows as idle what a device was not worked on, and lists no watcher of input among applications', () => {
    const ledger = createLedger();
    ledger.acknowledge('u', 'd', ping('08:00:00', '09:00:00'));
    ledger.acknowledge('u', 'd', ping('08:20:00', '08:50:00', { source: 'afk', app: 'afk', state: 'idle' }));
    ledger.acknowledge('u', 'd', ping('08:50:00', '09:00:00', { source: 'afk', app: 'afk' }));
    const entries = ledger.entries('u');
    const minutes = (ms: number): number => (ms / 60_000) % 60;
    expect(entries.map((e) => [e.source, minutes(e.startedAt), minutes(e.endedAt), e.key.state])).toEqual([
      ['afk', 20, 50, 'idle'],
      ['afk', 50, 0, 'active'],
      ['window', 0, 20, 'active'],
      ['window', 20, 50, 'idle'],
      ['window', 50, 0, 'active'],
    ]);
    const [date] = daysTouched(entries, 'UTC');
    const day = dayReport(entries, date!, 'UTC');
    expect([day.workSeconds, day.activeSeconds, day.idleSeconds]).toEqual([3_600, 1_800, 1_800]);
    expect([...day.apps.values()]).toEqual([1_800]);
  });

  test('follows new pings after entries were asked for', () => {
    const ledger = createLedger();
    ledger.acknowledge('u', 'd', ping('10:00:00', '10:01:00'));
    expect(ledger.entries('u')).toHaveLength(1);
    ledger.acknowledge('u', 'd', ping('11:00:00', '11:01:00'));
    expect(ledger.entries('u')).toHaveLength(2);
  });
});

describe('hostOf', () => {
  test('is right for every spelling that the fleet has for a host', () => {
    const random = createRandom('urls');
    for (let i = 0; i < 500; i++) {
      const host = random.pick(hosts);
      const url = urlOf(host, random);
      expect([url, hostOf(url)]).toEqual([url, host]);
      expect(new URL(url).hostname.replace(/^www\./, '')).toBe(host);
    }
  });

  test('there is none without http', () => {
    expect([hostOf(undefined), hostOf('about:blank'), hostOf('file:///tmp/x')]).toEqual([null, null, null]);
  });
});
