import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { compilePrivacy } from '@worktide/privacy';
import { privacyRules } from '@worktide/schemas';
import fc from 'fast-check';
import type { Judged } from '../items.ts';
import { readActivityWatch } from './activitywatch.ts';
import { readEntries } from './entries.ts';
import { createJsonScanner, type Found, type Shape } from './json.ts';
import { createOrderFinder, instantsOf, readClock, readDate, readLength, spanOf } from './local-times.ts';
import { readWakaTime } from './wakatime.ts';

/** Pieces of a text, cut at some bytes. */
function pieces(text: string | Buffer, cuts: readonly number[] = []): Buffer[] {
  const bytes = Buffer.from(text);
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

function scan(
  shape: Shape,
  text: string | Buffer,
  { cuts = [], maxBytes = 1_000 }: { cuts?: number[]; maxBytes?: number } = {},
) {
  const scanner = createJsonScanner(shape, maxBytes);
  const found: Found[] = pieces(text, cuts).flatMap((piece) => scanner.push(piece));
  scanner.end();
  return found;
}

const events: Shape = {
  members: { b: { members: {}, others: { members: { type: 'take', events: { each: 'take' } } } } },
};

describe('a document that is read as it comes', () => {
  test('gives out what is taken, wherever it is cut, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string(),
          fc.record({ type: fc.string(), events: fc.array(fc.jsonValue()), other: fc.jsonValue() }),
        ),
        fc.jsonValue(),
        fc.array(fc.nat()),
        fc.nat(3),
        (b, more, cuts, space) => {
          const text = JSON.stringify({ more, b, a: [more] }, null, space);
          // JSON has each name once, with what was said last.
          const expected = Object.entries((JSON.parse(text) as { b: typeof b }).b).flatMap(
            ([id, { type, events: all }]) => [
              { path: ['b', id, 'type'], value: type },
              ...all.map((value) => ({ path: ['b', id, 'events'], value })),
            ],
          );
          expect(scan(events, text, { cuts, maxBytes: 1_000_000 })).toEqual(expected);
        },
      ),
    );
  });

  test('what is too large is passed over, and what is beside it is not', () => {
    const text = JSON.stringify({ b: { x: { events: [1, 'y'.repeat(2_000), { z: 'y'.repeat(2_000) }, 2] } } });
    const values = scan(events, text, { cuts: [50, 500, 1_500] }).map(({ value }) => value);
    expect(values).toEqual([1, undefined, undefined, 2]);
  });

  test('what is not as its shape says is passed over', () => {
    expect(scan(events, '{"b": [{"x": {"events": [1]}}], "c": 1}')).toEqual([]);
    expect(scan(events, '\ufeff{"b": {"x": {"events": {"a": 1}, "type": [1]}}}')).toEqual([
      { path: ['b', 'x', 'type'], value: [1] },
    ]);
  });

  test.each([
    '',
    '{',
    '{"b": {"x": {"events": [1, 2]}}',
    '{"b": {"x": {"events": [1 2]}}}',
    '{"b" 1}',
    '{"b": {"x": {"events": [{"a": }]}}}',
    '{"b": 1,}',
    '{"b": {}} x',
    '{b: 1}',
    '[1',
    '{"b": {"x": {"events": [tru]}}}',
  ])('%j is refused', (text) => {
    expect(() => scan(events, text)).toThrow(expect.objectContaining({ code: 'MALFORMED_JSON', statusCode: 400 }));
  });
});

describe('local times', () => {
  test.each([
    ['2024-03-04', { ymd: '2024-03-04' }],
    ['2024/3/4', { ymd: '2024-03-04' }],
    ['03/04/2024', { dmy: '2024-04-03', mdy: '2024-03-04' }],
    ['13.04.2024', { dmy: '2024-04-13' }],
    ['04-13-2024', { mdy: '2024-04-13' }],
    ['31/02/2024', {}],
    ['04/03/24', {}],
    ['today', {}],
  ])('%s can be %j', (text, expected) => {
    const readings = Object.entries(readDate(text)).map(([order, day]) => [
      order,
      new Date(day * 86_400_000).toISOString().slice(0, 10),
    ]);
    expect(Object.fromEntries(readings)).toEqual(expected);
  });

  const orderOf = (...dates: string[]) => {
    const finder = createOrderFinder();
    for (const [i, date] of dates.entries()) finder.add(date, i + 1);
    return finder.result();
  };
  test('the order of dates is told by all of them, or not at all', () => {
    expect(orderOf('03/04/2024', '13/04/2024')).toEqual({ order: 'dmy' });
    expect(orderOf('03/04/2024', '04/13/2024')).toEqual({ order: 'mdy' });
    expect(orderOf('03/04/2024', '05/05/2024', '01/02/2024')).toEqual({ ambiguous: [1, 3] });
    expect(orderOf('03/03/2024')).toMatchObject({ order: expect.stringMatching(/dmy|mdy/) });
    expect(orderOf('13/04/2024', '04/13/2024')).toEqual({ mixed: [1, 2] });
    expect(orderOf('2024-03-04', 'nonsense')).toEqual({ order: 'ymd' });
  });

  test('an order that is found reads each date of the file as the day that was written', () => {
    const day = fc.date({ min: new Date('1970-01-01'), max: new Date('2099-12-31'), noInvalidDate: true });
    fc.assert(
      fc.property(fc.array(day, { minLength: 1 }), fc.constantFrom('dmy' as const, 'mdy' as const), (days, order) => {
        const two = (n: number) => String(n).padStart(2, '0');
        const texts = days.map((date) => {
          const [d, m, y] = [two(date.getUTCDate()), two(date.getUTCMonth() + 1), String(date.getUTCFullYear())];
          return order === 'dmy' ? `${d}/${m}/${y}` : `${m}/${d}/${y}`;
        });
        const found = orderOf(...texts);
        if ('order' in found) {
          expect(texts.map((text) => readDate(text)[found.order])).toEqual(
            days.map((date) => Math.floor(date.getTime() / 86_400_000)),
          );
        } else {
          // It was refused because it could be two days.
          expect(found).toHaveProperty('ambiguous');
          expect(days.every((date) => date.getUTCDate() <= 12)).toBe(true);
        }
      }),
    );
  });

  test.each([
    ['9:05', 9 * 60 + 5],
    ['09:05:00', 9 * 60 + 5],
    ['12:00 AM', 0],
    ['12:30:00 pm', 12 * 60 + 30],
    ['1:00 p.m.', 13 * 60],
    ['24:00', undefined],
    ['13:00 PM', undefined],
    ['', undefined],
  ])('%s is %s minutes after midnight', (text, minutes) => {
    expect(readClock(text)).toBe(minutes === undefined ? undefined : minutes * 60_000);
  });

  test('lengths may be longer than a day', () => {
    expect(readLength('100:00:30')).toBe(360_030_000);
    expect(readLength('1.5')).toBeUndefined();
  });

  const local = (text: string): number => Date.parse(`${text}Z`);
  test('an hour that comes twice is told by the length, and one that is left out goes on', () => {
    const zone = 'Europe/Berlin';
    expect(instantsOf(local('2024-10-27T02:30'), zone).map((at) => new Date(at).toISOString())).toEqual([
      '2024-10-27T00:30:00.000Z',
      '2024-10-27T01:30:00.000Z',
    ]);
    expect(instantsOf(local('2024-03-31T02:30'), zone)).toEqual([Date.parse('2024-03-31T01:30Z')]);
    const span = (lengthMs: number | undefined) =>
      spanOf({ start: local('2024-10-27T02:10'), end: local('2024-10-27T02:50'), lengthMs }, zone);
    expect(span(100 * 60_000)).toEqual({
      start: Date.parse('2024-10-27T00:10Z'),
      end: Date.parse('2024-10-27T01:50Z'),
    });
    expect(span(40 * 60_000)).toEqual({ start: Date.parse('2024-10-27T00:10Z'), end: Date.parse('2024-10-27T00:50Z') });
    expect(span(undefined)).toEqual({ start: Date.parse('2024-10-27T00:10Z'), end: Date.parse('2024-10-27T00:50Z') });
  });

  test('every instant is among those at which its clock is shown', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia', 'UTC');
    const instants = fc.integer({ min: Date.UTC(1995, 0), max: Date.UTC(2030, 0) });
    fc.assert(
      fc.property(instants, zones, (at, zone) => {
        const instant = Math.floor(at / 1000) * 1000;
        const shown = new Date(instant).toLocaleString('sv', { timeZone: zone }).replace(' ', 'T');
        expect(instantsOf(local(shown), zone)).toContain(instant);
      }),
    );
  });
});

const nowMs = Date.parse('2026-06-01T00:00:00Z');
const context = {
  importId: '019cd7a0-0000-7000-8000-000000000001',
  userId: '019cd7a0-0000-7000-8000-000000000002',
  nowMs,
  keptFromMs: Date.parse('2024-05-01T00:00:00Z'),
  rules: compilePrivacy(
    privacyRules.parse({ rules: [{ id: '019cd7a0-0000-7000-8000-000000000003', kind: 'drop', apps: ['Secret*'] }] }),
  ),
  observed: { timezone: 'UTC' },
};
async function all(rows: AsyncGenerator<Judged[]>): Promise<Judged[]> {
  const found: Judged[] = [];
  for await (const some of rows) found.push(...some);
  return found;
}
const file = (text: string, cuts: number[] = []): Readable => Readable.from(pieces(text, cuts));

describe('ActivityWatch', () => {
  const bucket = (type: string, events: unknown[], more: object = {}) => ({
    type,
    client: `aw-watcher-${type}`,
    hostname: 'desk',
    ...more,
    events,
  });
  const event = (data: object, more: object = {}) => ({
    timestamp: '2026-05-01T10:00:00.250000+00:00',
    duration: 90.5,
    data,
    ...more,
  });
  const read = (buckets: object, from = 0) =>
    all(readActivityWatch(file(JSON.stringify({ buckets }), [10, 100]), context, { buckets: new Map(), from }));

  test('events become pings on a device of the import, or say why not', async () => {
    const rows = await read({
      w: bucket('currentwindow', [
        event({ app: 'Code', title: 'a.ts' }),
        event({ app: 'Secret Thing', title: 'b' }),
        event({ app: 'Code' }, { duration: 60 * 86_400 }),
        event({ app: 'Code' }, { duration: -1 }),
        event({ app: 'Code' }, { timestamp: '2024-04-30T00:00:00Z' }),
        event({ app: 'Code' }, { timestamp: '2027-04-30T00:00:00Z' }),
        event({ app: 'Code' }, { timestamp: 'never' }),
        { x: 1 },
        3,
      ]),
      afk: bucket('afkstatus', [event({ status: 'afk' }, { duration: 60 * 3_600 })]),
      odd: bucket('os.hid.input', [event({ presses: 1 })]),
      web: bucket('web.tab.current', [event({ url: 'https://a.example/b', title: 't', incognito: true })]),
    });
    expect(
      rows.map(({ row, problem, item }) => [row, problem?.code ?? (item!.type === 'seen' && item!.pings.length)]),
    ).toEqual([
      [1, 1],
      [2, 0],
      [3, 'TOO_LONG'],
      [4, 'END_BEFORE_START'],
      [5, 'OLDER_THAN_KEPT'],
      [6, 'IN_FUTURE'],
      [7, 'INVALID_TIME'],
      [8, 'NOT_AN_EVENT'],
      [9, 'NOT_AN_EVENT'],
      [10, 3],
      [11, 'NOT_TIME'],
      [12, 0],
    ]);
    expect(rows[0]!.item).toMatchObject({
      device: 'desk',
      pings: [
        {
          app: 'Code',
          title: 'a.ts',
          source: 'window',
          state: 'active',
          deviceId: `import:${context.importId}:desk`,
          startedAt: Date.parse('2026-05-01T10:00:00.250Z'),
          endedAt: Date.parse('2026-05-01T10:01:30.750Z'),
        },
      ],
    });
    expect(rows[1]!.item).toMatchObject({ taken: ['drop'] });
    expect(rows[9]!.item).toMatchObject({ pings: [{ state: 'idle', source: 'afk' }, {}, {}] });
  });

  test('rows up to where it was are passed over, and what they are has the same content each time', async () => {
    const buckets = {
      w: bucket(
        'currentwindow',
        [1, 2, 3].map((n) => event({ app: `A ${n}` })),
      ),
    };
    const [whole, rest] = [await read(buckets), await read(buckets, 2)];
    expect(rest).toEqual(whole.slice(2));
    expect(new Set(whole.map(({ item }) => item!.content)).size).toBe(3);
  });

  test('a bucket that says what it is behind its events is not known before', async () => {
    const { type, ...late } = bucket('currentwindow', [event({ app: 'A' })]);
    const [one] = await read({ w: { ...late, type } });
    expect(one).toMatchObject({ problem: { code: 'UNKNOWN_BUCKET' } });
  });

  test('what has no buckets is no export', async () => {
    await expect(read({})).rejects.toMatchObject({ code: 'NOT_THIS_KIND' });
  });
});

describe('WakaTime', () => {
  const at = Date.parse('2026-05-01T10:00:00Z') / 1000;
  const beat = (n: number, more: object = {}) => ({
    entity: `/a/${n}.ts`,
    type: 'file',
    time: at + n,
    project: 'p',
    ...more,
  });
  const read = (days: object[]) =>
    all(readWakaTime(file(JSON.stringify({ user: { a: 1 }, range: {}, days })), context, { from: 0 }));

  test('what lies between two heartbeats of a device is time, up to a quarter of an hour', async () => {
    const rows = await read([
      { date: 'x', heartbeats: [beat(0), beat(60), beat(70, { machine_name_id: 'other' })] },
      { date: 'y', heartbeats: [beat(120), beat(1_200), { entity: '', time: at }, 'x'] },
    ]);
    expect(
      rows.map(
        ({ item, problem }) =>
          problem?.code ?? (item!.type === 'seen' && item!.pings.map((one) => one.endedAt - one.startedAt)),
      ),
    ).toEqual([[0], [0, 60_000], [0], [0, 60_000], [0], 'NOT_A_HEARTBEAT', 'NOT_A_HEARTBEAT']);
    expect(rows[2]!.item).toMatchObject({ device: 'other', heartbeat: { project: 'p', entity: '/a/70.ts' } });
  });

  test('a dump of days has no heartbeats', async () => {
    await expect(read([{ date: 'x', grand_total: {} }])).rejects.toMatchObject({ code: 'NOT_THIS_KIND' });
  });
});

describe('reports as CSV', () => {
  const header =
    'User,Email,Client,Project,Task,Description,Billable,Start date,Start time,End date,End time,Duration,Tags,Amount ()';
  const entries = { nowMs, keptFromMs: undefined, timezone: 'America/New_York', dateOrder: 'ymd' as const };
  const read = (text: string, more: Partial<typeof entries> = {}) =>
    all(readEntries(file(text, [5, 50, 200]), { ...entries, ...more }, { from: 0 }));

  test('rows become entries, or say why not', async () => {
    const rows = await read(
      [
        `\ufeff${header}`,
        'Ada,ada@a.example,,Site,Task 1,"Line, one\nand ""two""",Yes,2026-01-15,09:00:00,2026-01-15,10:30:00,01:30:00,"x, y",0',
        'Ada,ada@a.example,,,,,No,2026-01-15,09:00:00,2026-01-15,09:00:00,00:00:00,,',
        'Ada,ada@a.example,,,,,No,2026-01-15,09:00:00,,,02:00:00,,',
        'Ada,ada@a.example,,,,,No,,,,,,,',
        'short',
      ].join('\r\n'),
    );
    expect(rows.map(({ row, problem, item }) => [row, problem?.code ?? item!.to - item!.from])).toEqual([
      [1, 5_400_000],
      [2, 'END_BEFORE_START'],
      [3, 7_200_000],
      [4, 'INVALID_TIME'],
      [5, 'INVALID_TIME'],
    ]);
    expect(rows[0]).toMatchObject({
      person: { key: 'ada@a.example', name: 'Ada', email: 'ada@a.example' },
      item: {
        project: 'Site',
        entry: {
          startedAt: Date.parse('2026-01-15T14:00:00Z'),
          description: 'Line, one\nand "two"',
          tags: ['x', 'y', 'Task 1'],
          billable: true,
          timezone: 'America/New_York',
          status: 'STOPPED',
        },
      },
    });
  });

  test('semicolons, names in any case, and what the organisation does not keep', async () => {
    const text = 'START DATE;start time;Duration (h)\n15/01/2026;9:00 AM;1:00:00\n14/01/2026;9:00 AM;1:00:00\n';
    const rows = await read(text, { dateOrder: 'dmy', keptFromMs: Date.parse('2026-01-15T00:00:00Z') } as never);
    expect(rows.map(({ problem }) => problem?.code)).toEqual([undefined, 'OLDER_THAN_KEPT']);
  });

  test.each([
    ['', 'EMPTY_FILE'],
    ['a,b\n1,2', 'NOT_THIS_KIND'],
    [`${header}\n"${'x'.repeat(100_000)}`, 'MALFORMED_CSV'],
  ])('%#', async (text, code) => {
    await expect(read(text)).rejects.toMatchObject({ code, statusCode: 400 });
  });
});

test('what goes wrong with one row is said of it, and ends nothing', async () => {
  /** Goes wrong once, with the second row that asks. */
  const failing = <T extends { nowMs: number }>(good: T, ask: number): T => {
    let asked = 0;
    return Object.defineProperty({ ...good }, 'nowMs', {
      get() {
        if (++asked === ask) throw new Error('a fault of ours');
        return good.nowMs;
      },
    });
  };
  const codes = async (rows: AsyncGenerator<Judged[]>) =>
    (await all(rows)).map(({ row, problem }) => [row, problem?.code]);
  const expected = [
    [1, undefined],
    [2, 'UNREADABLE_ROW'],
    [3, undefined],
  ];
  const events = [0, 1, 2].map((n) => ({ timestamp: `2026-01-15T09:0${n}:00Z`, duration: 1, data: { app: `A ${n}` } }));
  const buckets = { w: { type: 'currentwindow', client: 'w', hostname: 'h', events } };
  const exported = file(JSON.stringify({ buckets }));
  expect(await codes(readActivityWatch(exported, failing(context, 2), { buckets: new Map(), from: 0 }))).toEqual(
    expected,
  );
  const heartbeats = [0, 1_000, 2_000].map((n) => ({
    entity: 'a.js',
    type: 'file',
    time: Date.parse('2026-01-15') / 1_000 + n,
  }));
  const dump = file(JSON.stringify({ days: [{ date: 'd', heartbeats }] }));
  expect(await codes(readWakaTime(dump, failing(context, 3), { from: 0 }))).toEqual(expected);
  const header = 'User,Email,Start date,Start time,End date,End time,Duration';
  const entries = { nowMs, keptFromMs: undefined, timezone: 'UTC', dateOrder: 'ymd' as const };
  const text = `${header}\n${[9, 11, 13].map((h) => `Ada,,2026-01-15,${h}:00:00,2026-01-15,${h + 1}:00:00,01:00:00`).join('\n')}`;
  expect(await codes(readEntries(file(text), failing(entries, 2), { from: 0 }))).toEqual(expected);
});
