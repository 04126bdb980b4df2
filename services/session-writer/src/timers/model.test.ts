import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Caller } from '@worktide/runtime';
import type { TimeEntry } from '@worktide/schemas';
import { type Answer, until } from '@worktide/testing';
import fc from 'fast-check';
import { type TestDatabase, trackingDatabase } from '../testing.ts';
import { openTimers, type Timers } from './testing.ts';

// What a person does to all entries of a day, over HTTP, beside a list in memory of what must have come of it.

let database: TestDatabase;
let timers: Timers;
beforeAll(async () => {
  database = await trackingDatabase();
  timers = await openTimers(database.url);
});
afterAll(async () => {
  await timers?.close();
  await database?.drop();
});

const base = Date.UTC(2026, 10, 20, 9);
const unit = 1_000;
const iso = (at: number): string => new Date(base + at * unit).toISOString();

/** Times are seconds since the beginning of the day; `which` chooses among all entries there ever were. */
type Command =
  | { act: 'wait'; seconds: number }
  | { act: 'start' | 'manual'; from: number; length: number }
  | { act: 'pause' | 'resume' | 'stop'; which: number; back: number }
  | { act: 'edit'; which: number; from: number; length: number; isStale: boolean }
  | { act: 'delete'; which: number };
const small = fc.nat(60);
const which = fc.nat(12);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ act: fc.constant('wait' as const), seconds: small }) },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constantFrom('start' as const, 'manual' as const),
      from: small,
      length: fc.nat(20),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      act: fc.constantFrom('pause' as const, 'resume' as const, 'stop' as const),
      which,
      back: fc.nat(8),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('edit' as const),
      which,
      from: small,
      length: fc.nat(20),
      isStale: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('delete' as const), which }) },
);

interface Paper {
  id: string;
  from: number;
  to: number | null;
  /** Seconds that were paused, and since when it is. */
  paused: Set<number>;
  pausedFrom: number | null;
  /** Of the last step. */
  last: number;
  version: number;
  isDeleted: boolean;
}

class Day {
  now = 40;
  readonly entries: Paper[] = [];

  /** Mostly the one that is open, sometimes any, seldom one that was never there. */
  at(n: number): Paper | undefined {
    const open = this.live().find(({ to }) => to === null);
    return n === 0 ? undefined : n <= 6 && open ? open : this.entries[n % this.entries.length];
  }

  meets(from: number, to: number | null, other?: Paper): boolean {
    return this.live().some((e) => e !== other && from < (e.to ?? Infinity) && e.from < (to ?? Infinity));
  }

  live(): Paper[] {
    return this.entries.filter(({ isDeleted }) => !isDeleted);
  }

  add(id: string, from: number, to: number | null): void {
    const paused = new Set<number>();
    this.entries.push({ id, from, to, paused, pausedFrom: null, last: from, version: 1, isDeleted: false });
  }
}

const statusOf = ({ to, pausedFrom }: Paper) => (to !== null ? 'STOPPED' : pausedFrom === null ? 'RUNNING' : 'PAUSED');

function workedOf({ from, to, paused, pausedFrom }: Paper, now: number): number {
  let sum = 0;
  for (let at = from; at < (to ?? pausedFrom ?? now); at++) if (!paused.has(at)) sum++;
  return sum;
}

/** Does it on paper. @returns what must be answered; and what to do on paper with what was made. */
function onPaper(
  day: Day,
  one: Exclude<Command, { act: 'wait' }>,
): { code: number | string; made?: (id: string) => void } {
  if (!('which' in one)) {
    const to = one.act === 'start' ? null : one.from + one.length;
    if (one.from > day.now) return { code: 'IN_FUTURE' };
    if (to !== null && to <= one.from) return { code: 'END_BEFORE_START' };
    if (to !== null && to > day.now) return { code: 'IN_FUTURE' };
    if (to === null && day.live().some((entry) => entry.to === null)) return { code: 'TIMER_RUNNING' };
    if (day.meets(one.from, to)) return { code: 'OVERLAP' };
    return { code: 201, made: (id) => day.add(id, one.from, to) };
  }
  const entry = day.at(one.which);
  if (!entry || entry.isDeleted) return { code: 'NOT_FOUND' };
  if (one.act === 'delete') {
    entry.isDeleted = true;
    entry.version++;
    return { code: 204 };
  }
  if (one.act === 'edit') {
    if (one.isStale) return { code: 'STALE_VERSION' };
    const to = entry.to === null ? null : one.from + one.length;
    if (entry.from === one.from && entry.to === to) return { code: 200 };
    if (one.from > day.now) return { code: 'IN_FUTURE' };
    if (to !== null && to <= one.from) return { code: 'END_BEFORE_START' };
    if (to !== null && to > day.now) return { code: 'IN_FUTURE' };
    if (day.meets(one.from, to, entry)) return { code: 'OVERLAP' };
    Object.assign(entry, { from: one.from, to });
    for (const at of entry.paused) if (at < one.from || at >= (to ?? Infinity)) entry.paused.delete(at);
    if (entry.pausedFrom !== null) entry.pausedFrom = Math.max(entry.pausedFrom, one.from);
    // When it last began, was paused or went on, of what is left of that.
    entry.last = entry.pausedFrom ?? Math.max(one.from, ...[...entry.paused].map((at) => at + 1));
    entry.version++;
    return { code: 200 };
  }
  const status = statusOf(entry);
  if (status === 'STOPPED') return { code: 'TIMER_STOPPED' };
  if (one.act === 'pause' && status === 'PAUSED') return { code: 'TIMER_NOT_RUNNING' };
  if (one.act === 'resume' && status === 'RUNNING') return { code: 'TIMER_NOT_PAUSED' };
  const at = day.now - one.back;
  if (at < entry.last) return { code: 'BEFORE_LAST_CHANGE' };
  if (entry.pausedFrom !== null) for (let t = entry.pausedFrom; t < at; t++) entry.paused.add(t);
  entry.pausedFrom = one.act === 'pause' ? at : null;
  if (one.act === 'stop') entry.to = at;
  // A pause that took no time is none: the last step is then the one before. One that goes on where the last one ended is
  // that one.
  let pausedSince = at;
  while (entry.paused.has(pausedSince - 1)) pausedSince--;
  entry.last = one.act === 'pause' ? pausedSince : Math.max(entry.from, ...[...entry.paused].map((t) => t + 1));
  entry.version++;
  return { code: 200 };
}

const nobody = '018f0000-0000-7000-8000-000000000000';

function send(day: Day, who: Caller, one: Exclude<Command, { act: 'wait' }>): Promise<Answer> {
  if (!('which' in one)) {
    if (one.act === 'start') return timers.call(who, 'post', '', { body: { startTime: iso(one.from) } });
    const body = { startTime: iso(one.from), endTime: iso(one.from + one.length) };
    return timers.call(who, 'post', '/manual', { body });
  }
  const entry = day.at(one.which);
  const path = `/${entry?.id ?? nobody}`;
  if (one.act === 'delete') return timers.call(who, 'delete', path);
  if (one.act === 'edit') {
    const times = { startTime: iso(one.from), ...(entry?.to == null ? {} : { endTime: iso(one.from + one.length) }) };
    const version = one.isStale ? (entry?.version ?? 1) + 1 : (entry?.version ?? 1);
    return timers.call(who, 'patch', path, { body: { version, ...times } });
  }
  return timers.call(who, 'put', `${path}/${one.act}`, { body: { at: iso(day.now - one.back) } });
}

test('a day is as it was kept on paper: answers, entries, ledger and events', async () => {
  const property = fc.asyncProperty(
    fc.array(command, { minLength: 15, maxLength: 40, size: 'max' }),
    async (commands) => {
      const who = timers.person();
      const day = new Day();
      for (const one of [{ act: 'start', from: 35, length: 0 } as const, ...commands]) {
        if (one.act === 'wait') {
          day.now += one.seconds;
          continue;
        }
        // Of no length: the model counts seconds, and a timer that was stopped has a millisecond.
        if ('back' in one && one.act === 'stop' && day.at(one.which)?.from === day.now - one.back) continue;
        timers.clock.now = base + day.now * unit;
        // What is sent depends on what is there before, so it is sent first.
        const answer = send(day, who, one);
        const { code, made } = onPaper(day, one);
        const { status, body } = await answer;
        const answered = typeof code === 'number' ? status : body?.code;
        expect({ one, now: day.now, answered }).toEqual({ one, now: day.now, answered: code });
        if (made) made(body.id);
      }
      timers.clock.now = base + day.now * unit;
      const { items } = (await timers.call(who, 'get', `?from=${iso(-10)}&to=${iso(10_000)}`)).body;
      const expected = day
        .live()
        .sort((a, b) => b.from - a.from)
        .map((entry) => ({
          id: entry.id,
          status: statusOf(entry),
          startTime: iso(entry.from),
          endTime: entry.to === null ? null : iso(entry.to),
          workedSeconds: workedOf(entry, day.now),
          version: entry.version,
        }));
      expect(
        items.map(({ id, status, startTime, endTime, workedSeconds, version }: TimeEntry) => ({
          id,
          status,
          startTime,
          endTime,
          workedSeconds,
          version,
        })),
      ).toEqual(expected);
      for (const { id, version, isDeleted } of day.entries) {
        const history = (await timers.call(who, 'get', `/${id}/history`)).body.items;
        // Each version is a line, and each line begins where the one before ended.
        expect(history.map(({ after }: { after: { version: number } }) => after.version)).toEqual(
          Array.from({ length: version }, (_, i) => i + 1),
        );
        for (const [i, { before }] of history.entries()) expect(before).toEqual(i === 0 ? null : history[i - 1].after);
        const told = await until('the last version is told', async () => {
          const all = (await timers.told(who)).flatMap(({ entries }) => entries).filter((entry) => entry.id === id);
          return all.length === version && all;
        });
        expect(told.find((entry) => entry.version === version)!.deleted).toBe(isDeleted);
      }
    },
  );
  await fc.assert(property, { numRuns: 30 });
}, 120_000);
