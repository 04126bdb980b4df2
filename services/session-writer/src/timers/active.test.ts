import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { tenantTransaction, transaction } from '@worktide/postgres';
import type { TimeEntryState } from '@worktide/schemas';
import fc from 'fast-check';
import { monthOf, monthStart } from '../merge/index.ts';
import { mergeStreams } from '../store/merge.ts';
import { key, newStream, openWriter, seen, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { secondsOf } from './active.ts';

let database: TestDatabase;
let writer: TestWriter;
beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
  await writer.partitions.maintain();
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

/** The first instant of this month, so that what lies around it is of two; and a unit that shows in whole seconds. */
const base = monthStart(monthOf(Date.now()));
const unit = 1_000;
const reach = 40;

const entryOf = (from: number, to: number | null, pauses: [number, number | null][] = []) =>
  ({
    startedAt: base + from * unit,
    endedAt: to === null ? null : base + to * unit,
    pauses: pauses.map(([start, end]) => ({ from: base + start * unit, to: end === null ? null : base + end * unit })),
  }) as TimeEntryState;

interface Usage {
  device: string;
  from: number;
  length: number;
  state: 'active' | 'idle';
}
const usage: fc.Arbitrary<Usage> = fc.record({
  device: fc.constantFrom('laptop', 'phone'),
  from: fc.integer({ min: -reach, max: reach }),
  length: fc.integer({ min: 1, max: 20 }),
  state: fc.constantFrom('active', 'idle'),
});
/** Entries and pauses from instants in order: each second one begins an entry, is a pause, or ends it. */
const entries = fc
  .array(fc.uniqueArray(fc.integer({ min: -reach, max: reach }), { minLength: 2, maxLength: 8 }), { maxLength: 4 })
  .map((all) =>
    all.map((instants) => {
      const [from, ...rest] = instants.sort((a, b) => a - b);
      const to = rest.length % 2 === 1 ? rest.pop()! : null;
      const pauses: [number, number | null][] = [];
      for (let i = 0; i < rest.length; i += 2) pauses.push([rest[i]!, rest[i + 1]!]);
      return entryOf(from!, to, pauses);
    }),
  );

/** The rule once more, a second at a time. */
function counted(entry: TimeEntryState, used: readonly Usage[], now: number) {
  const sums = { workedSeconds: 0, activeSeconds: 0, idleSeconds: 0, untrackedSeconds: 0 };
  for (let at = entry.startedAt; at < (entry.endedAt ?? now); at += unit) {
    if (entry.pauses.some(({ from, to }) => at >= from && (to === null || at < to))) continue;
    const states = used
      .filter(({ from, length }) => at >= base + from * unit && at < base + (from + length) * unit)
      .map(({ state }) => state);
    sums.workedSeconds++;
    if (states.includes('active')) sums.activeSeconds++;
    else if (states.includes('idle')) sums.idleSeconds++;
    else sums.untrackedSeconds++;
  }
  return sums;
}

test('seconds are what somebody would count on any usage of several devices, any pauses, over the turn of a month', async () => {
  const property = fc.asyncProperty(fc.array(usage, { maxLength: 15 }), entries, async (used, page) => {
    // Of afk nothing is bridged: what was not seen is not covered.
    const mine = newStream({ source: 'afk' });
    for (const { device, from, length, state } of used) {
      const stream = { ...mine, deviceId: device };
      const pings = [seen(base + from * unit, base + (from + length) * unit, key('A', null, state))];
      await (await mergeStreams(writer, [{ stream, pings }])).published;
    }
    const now = base + reach * unit;
    const found = await tenantTransaction(writer.pool, mine.organizationId, (client) =>
      secondsOf(client, mine.userId, page, now),
    );
    expect(found).toMatchObject(page.map((entry) => counted(entry, used, now)));
  });
  await fc.assert(property, { numRuns: 40 });
}, 60_000);

test('usage of the same user id in another organisation is nobody’s, and without an organisation there is none', async () => {
  const mine = newStream();
  const pings = [seen(base, base + 10_000, key('A'))];
  await (await mergeStreams(writer, [{ stream: mine, pings }])).published;
  const page = [entryOf(0, 10)];
  const secondsFor = (organizationId: string) =>
    tenantTransaction(writer.pool, organizationId, (client) => secondsOf(client, mine.userId, page, Date.now()));
  expect((await secondsFor(mine.organizationId))[0]).toMatchObject({ activeSeconds: 10, untrackedSeconds: 0 });
  expect((await secondsFor(randomUUID()))[0]).toMatchObject({ activeSeconds: 0, untrackedSeconds: 10 });
  const nobody = await transaction(writer.pool, (client) => secondsOf(client, mine.userId, page, Date.now()));
  expect(nobody[0]).toMatchObject({ activeSeconds: 0 });
});
