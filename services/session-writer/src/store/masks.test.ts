import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type KeySpan, monthOf, monthStart, type Span, shownState } from '../merge/index.ts';
import { paintedEntries, shownEntries } from '../merge/oracle.ts';
import {
  erase,
  key,
  newStream,
  openWriter,
  seen,
  type TestDatabase,
  type TestWriter,
  trackingDatabase,
} from '../testing.ts';
import { mergeStreams } from './merge.ts';
import type { StreamIdentity } from './streams.ts';

let database: TestDatabase;
let writer: TestWriter;
let other: TestWriter;
beforeAll(async () => {
  database = await trackingDatabase();
  [writer, other] = await Promise.all([openWriter(database.url), openWriter(database.url)]);
  await writer.partitions.maintain();
});
afterAll(async () => {
  await Promise.all([writer?.close(), other?.close()]);
  await database?.drop();
});

/** The first instant of this month: what lies around it falls into two. */
const boundary = monthStart(monthOf(Date.now()));
const afk = (start: number, end: number, state: 'active' | 'idle' = 'idle') =>
  seen(start, end, key('afk', null, state));
const bridges: Record<string, number> = { window: 30_000, afk: 0, editor: 15 * 60_000 };

interface Piece {
  source: 'window' | 'afk' | 'editor';
  ping: KeySpan;
}

/** Entries as they are stored, and as the last word of the log has them. */
async function shown(stream: StreamIdentity) {
  const { rows } = await database.admin.query(
    `SELECT e.id, e.started_at AS start, e.ended_at AS end, e.state, e.app, e.masked, e.version FROM tracking.usage_entries e
     JOIN tracking.streams s ON s.id = e.stream_id
     WHERE s.organization_id = $1 AND s.user_id = $2 AND s.device_id = $3 AND s.source = $4 ORDER BY e.started_at`,
    [stream.organizationId, stream.userId, stream.deviceId, stream.source],
  );
  return rows as {
    id: string;
    start: number;
    end: number;
    state: string;
    app: string;
    masked: boolean;
    version: number;
  }[];
}

async function told(stream: StreamIdentity) {
  const latest = new Map<
    string,
    { version: number; deleted: boolean; startedAt: number; endedAt: number; state: string }
  >();
  for (const record of (await Promise.all([writer, other].map((w) => w.published()))).flat()) {
    if (record.userId !== stream.userId) continue;
    for (const entry of record.entries) {
      if (entry.deviceId !== stream.deviceId || entry.source !== stream.source) continue;
      const known = latest.get(entry.id);
      if (!known || known.version < entry.version) latest.set(entry.id, entry);
    }
  }
  return [...latest]
    .filter(([, { deleted }]) => !deleted)
    .map(([id, { startedAt, endedAt, state, version }]) => ({ id, start: startedAt, end: endedAt, state, version }))
    .sort((a, b) => a.start - b.start);
}

/** As the painter sees a device, each month by itself. */
function expected(pieces: readonly Piece[], source: Piece['source'], erased: readonly Span[]) {
  const ends = pieces.flatMap(({ ping }) => [ping.start, ping.end]);
  const paint = (of: Piece['source'], from: number, to: number) =>
    paintedEntries(
      from,
      to,
      pieces.flatMap((one) => (one.source === of ? [one.ping] : [])),
      erased,
      bridges[of]!,
    );
  const parts: [number, number][] = [
    [Math.min(boundary, ...ends), boundary],
    [boundary, Math.max(boundary, ...ends)],
  ];
  return parts.flatMap(([from, to]) => {
    const idle = source === 'afk' ? [] : paint('afk', from, to).entries.filter(({ key: k }) => k.state === 'idle');
    return shownEntries(paint(source, from, to), idle).entries;
  });
}

async function expectExact(
  device: StreamIdentity,
  pieces: readonly Piece[],
  erased: readonly Span[] = [],
): Promise<void> {
  for (const source of ['window', 'editor', 'afk'] as const) {
    const stream = { ...device, source };
    const entries = await shown(stream);
    expect(entries.map(({ start, end, state, app, masked }) => [start, end, state, app, masked])).toEqual(
      expected(pieces, source, erased).map(({ start, end, key: k }) => [
        start,
        end,
        shownState(k),
        k.app,
        k.masked === true,
      ]),
    );
    expect(await told(stream)).toEqual(
      entries.map(({ id, start, end, state, version }) => ({ id, start, end, state, version })),
    );
  }
}

async function send(w: TestWriter, device: StreamIdentity, pieces: readonly Piece[]): Promise<void> {
  const bySource = Map.groupBy(pieces, ({ source }) => source);
  const work = [...bySource].map(([source, some]) => ({
    stream: { ...device, source },
    pings: some.map(({ ping }) => ping),
  }));
  await (await mergeStreams(w, work)).published;
}

const reach = 120;
const unit = 1_000;
const anyPiece: fc.Arbitrary<Piece> = fc
  .tuple(
    fc.integer({ min: -reach, max: reach }),
    fc.integer({ min: 0, max: 40 }),
    fc.constantFrom<[Piece['source'], KeySpan['key']]>(
      ['window', key('A')],
      ['window', key('B', 'b.example')],
      ['editor', key('E')],
      ['afk', key('afk')],
      ['afk', key('afk', null, 'idle')],
      ['afk', key('afk', null, 'idle')],
    ),
  )
  .map(([start, length, [source, k]]) => ({
    source,
    ping: seen(boundary + start * unit, boundary + (start + length) * unit, k),
  }));
const anyDelivery = fc.array(anyPiece, { minLength: 1, maxLength: 18 }).chain((pieces) => {
  const order = fc
    .tuple(
      fc.shuffledSubarray(pieces, { minLength: pieces.length }),
      fc.subarray(pieces),
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 60, maxLength: 60 }),
    )
    .map(([once, again, sizes]) => {
      const all = [...once, ...again];
      return sizes.map((n) => all.splice(0, n)).filter((batch) => batch.length > 0);
    });
  return fc.record({ pieces: fc.constant(pieces), first: order, second: order });
});

describe('a device with a watcher of input', () => {
  test('any batches in any order give what the painter sees, entries and events, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(anyDelivery, fc.constantFrom(undefined, 4, 9), async ({ pieces, first }, maxRows) => {
        const device = newStream();
        for (const batch of first) await send(maxRows === undefined ? writer : { ...writer, maxRows }, device, batch);
        await expectExact(device, pieces);
      }),
      { numRuns: 25 },
    );
  });

  test('two writers at once on the same device, each with everything, do no harm', async () => {
    await fc.assert(
      fc.asyncProperty(anyDelivery, async ({ pieces, first, second }) => {
        const devices = [newStream(), newStream()];
        const sendAll = async (w: TestWriter, batches: Piece[][], order: StreamIdentity[]): Promise<void> => {
          for (const batch of batches) for (const device of order) await send(w, device, batch);
        };
        await Promise.all([sendAll(writer, first, devices), sendAll(other, second, [...devices].reverse())]);
        for (const device of devices) await expectExact(device, pieces);
      }),
      { numRuns: 12 },
    );
  });

  test('what is erased takes its mask along, and no replay brings it back', async () => {
    const device = newStream();
    const at = boundary + 3_600_000;
    const pieces: Piece[] = [
      { source: 'window', ping: seen(at, at + 600_000, key('A')) },
      { source: 'afk', ping: afk(at + 100_000, at + 400_000) },
    ];
    await send(writer, device, pieces);
    const { organizationId, userId, deviceId } = device;
    const gone = { start: at + 200_000, end: at + 300_000 };
    await erase(writer, { organizationId, userId, deviceId, from: gone.start, to: gone.end, requestedBy: userId });
    await expectExact(device, pieces, [gone]);
    await send(other, device, pieces);
    await expectExact(device, pieces, [gone]);
    expect((await shown(device)).map(({ start, end, state }) => [start - at, end - at, state])).toEqual([
      [0, 100_000, 'active'],
      [100_000, 200_000, 'idle'],
      [300_000, 400_000, 'idle'],
      [400_000, 600_000, 'active'],
    ]);
  });

  test.each([0, 1])('an hour of which half was away: work 3,600, active 1,800, in any order (%i)', async (order) => {
    const device = newStream();
    const second = { ...device, deviceId: 'phone' };
    const eight = boundary + 8 * 3_600_000;
    const minute = 60_000;
    const hour = Array.from({ length: 120 }, (_, i): Piece => {
      return { source: 'window', ping: seen(eight + i * 30_000, eight + (i + 1) * 30_000, key('Word')) };
    });
    const away: Piece[] = [{ source: 'afk', ping: afk(eight + 20 * minute, eight + 50 * minute) }];
    const batches = order === 0 ? [hour, away] : [away, [...hour].reverse(), away];
    for (const batch of batches) await send(writer, device, batch);
    await send(writer, second, hour);
    const secondsOf = async (state?: string) => {
      const all = [...(await shown(device)), ...(await shown({ ...device, source: 'afk' }))];
      const covered = new Set<number>();
      for (const entry of all) {
        if (state !== undefined && entry.state !== state) continue;
        for (let t = entry.start; t < entry.end; t += 1_000) covered.add(t);
      }
      return covered.size;
    };
    expect([await secondsOf(), await secondsOf('active')]).toEqual([3_600, 1_800]);
    expect((await shown(second)).map(({ start, end, state }) => [start, end, state])).toEqual([
      [eight, eight + 60 * minute, 'active'],
    ]);
  });

  test('idle time that only grows changes one piece of what it masks', async () => {
    const device = newStream();
    const at = boundary + 20 * 3_600_000;
    await send(writer, device, [{ source: 'window', ping: seen(at, at + 3_600_000, key('A')) }]);
    await send(writer, device, [{ source: 'afk', ping: afk(at + 60_000, at + 65_000) }]);
    const { added, changed, removed } = await mergeStreams(writer, [
      { stream: { ...device, source: 'afk' }, pings: [afk(at + 65_000, at + 70_000)] },
    ]);
    // The idle entry, the masked piece, and what begins behind it anew.
    expect({ added, changed, removed }).toEqual({ added: 1, changed: 2, removed: 1 });
    // Somebody at the device says nothing of idle time, and nothing else is read.
    const present = await mergeStreams(writer, [
      { stream: { ...device, source: 'afk' }, pings: [afk(at + 70_000, at + 75_000, 'active')] },
    ]);
    expect(present).toMatchObject({ added: 1, changed: 0, removed: 0 });
  });
});
