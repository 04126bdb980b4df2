import { describe, expect, test } from '@jest/globals';
import { AppError } from '@worktide/runtime';
import { type TimeEntryState, timeEntryBounds } from '@worktide/schemas';
import fc from 'fast-check';
import { workedOf } from './active.ts';
import { edit, pause, resume, start, stop } from './commands.ts';

const about = { timezone: 'UTC' };
const worked = (entry: TimeEntryState, nowMs: number): number =>
  workedOf(entry, nowMs).reduce((sum, piece) => sum + piece.end - piece.start, 0);

type Step = { act: 'pause' | 'resume' | 'stop'; after: number } | { act: 'edit'; from: number; to: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ act: fc.constantFrom('pause', 'resume', 'stop'), after: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant('edit' as const),
      from: fc.integer({ min: -20, max: 40 }),
      to: fc.nat(80),
    }),
  },
) as fc.Arbitrary<Step>;

/** A timer as somebody would keep it on paper: each millisecond that was paused, and nothing else. */
class Paper {
  from = 0;
  to: number | null = null;
  paused = new Set<number>();
  state: 'RUNNING' | 'PAUSED' | 'STOPPED' = 'RUNNING';
  last = 0;

  step(act: 'pause' | 'resume' | 'stop', at: number): boolean {
    if (this.state === 'STOPPED' || (act === 'pause' && this.state !== 'RUNNING')) return false;
    if (act === 'resume' && this.state !== 'PAUSED') return false;
    // Some length it has, and what is stopped while it is paused was paused to its end.
    const until = act === 'stop' ? Math.max(at, this.from + 1) : at;
    if (this.state === 'PAUSED') for (let ms = this.last; ms < until; ms++) this.paused.add(ms);
    this.last = at;
    this.state = act === 'pause' ? 'PAUSED' : act === 'resume' ? 'RUNNING' : 'STOPPED';
    if (act === 'stop') this.to = until;
    return true;
  }

  /** What lies outside is forgotten: it is not a pause any more when the entry grows again. */
  edit(from: number, to: number): void {
    this.from = from;
    this.to = to;
    for (const ms of this.paused) if (ms < from || ms >= to) this.paused.delete(ms);
  }

  worked(now: number): number {
    let sum = 0;
    const pausedFrom = this.state === 'PAUSED' ? this.last : Number.POSITIVE_INFINITY;
    for (let ms = this.from; ms < (this.to ?? now); ms++) if (!this.paused.has(ms) && ms < pausedFrom) sum++;
    return sum;
  }
}

const base = Date.UTC(2026, 10, 20);

describe('any sequence of commands', () => {
  test('is as somebody would have kept it on paper, and what is refused changes nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        let now = base;
        let entry = start(about, base, base);
        const paper = new Paper();
        for (const one of steps) {
          const before = entry;
          if (one.act === 'edit') {
            now += 100;
            if (entry.status !== 'STOPPED' || one.to <= one.from) continue;
            entry = edit(entry, { startedAt: base + one.from, endedAt: base + one.to }, now);
            paper.edit(one.from, one.to);
          } else {
            now = Math.max(now, base + paper.last) + one.after;
            const apply = { pause, resume, stop }[one.act];
            const lasts = paper.step(one.act, now - base);
            try {
              entry = apply(entry, now, now);
              expect(lasts).toBe(true);
              expect(entry.version).toBe(before.version + 1);
            } catch (error) {
              if (!(error instanceof AppError)) throw error;
              expect([lasts, error.statusCode]).toEqual([false, 409]);
            }
          }
          expect(entry.status).toBe(paper.state);
          expect(worked(entry, now)).toBe(paper.worked(now - base));
          expect(entry.endedAt).toBe(paper.to === null ? null : base + paper.to);
          expectSound(entry);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** As the database demands it of a row, and as a consumer may rely on it. */
function expectSound({ startedAt, endedAt, pauses, status }: TimeEntryState): void {
  let reached = startedAt - 1;
  for (const [i, { from, to }] of pauses.entries()) {
    expect(from).toBeGreaterThan(reached);
    if (to === null) expect([i, status]).toEqual([pauses.length - 1, 'PAUSED']);
    else expect(to).toBeGreaterThan(from);
    reached = to ?? Number.POSITIVE_INFINITY;
  }
  if (endedAt === null) return;
  expect(endedAt).toBeGreaterThan(startedAt);
  if (pauses.length > 0) expect(reached).toBeLessThanOrEqual(endedAt);
}

test('an entry has so many pauses and no more', () => {
  let entry = start(about, base, base);
  let now = base;
  for (let i = 0; i < timeEntryBounds.pauses; i++) {
    entry = pause(entry, ++now, now);
    entry = resume(entry, ++now, now);
  }
  now++;
  expect(() => pause(entry, now, now)).toThrow(expect.objectContaining({ code: 'TOO_MANY_PAUSES' }));
  expect(stop(entry, now, now).status).toBe('STOPPED');
});

test('a step that takes no time is one all the same', () => {
  let entry = start(about, base, base);
  for (const step of [pause, resume, pause, resume, stop]) entry = step(entry, base, base);
  expect(entry).toMatchObject({ status: 'STOPPED', startedAt: base, endedAt: base + 1, pauses: [], version: 6 });
});
