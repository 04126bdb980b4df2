import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AppError } from '../errors.ts';
import { createMetrics } from '../metrics.ts';
import { createBudget, type Holding } from './budget.ts';
import { createPeopleTurns } from './people-turns.ts';
import { createTurns } from './turns.ts';

const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as AppError).code;
  }
};

describe('a budget', () => {
  test('one alone has half, and another finds room beside it', () => {
    const budget = createBudget({ name: 'b', total: 100, metrics: createMetrics(), code: 'QUEUE_FULL' });
    const first = budget.take('a', 50);
    expect(codeOf(() => budget.take('a', 1))).toBe('QUEUE_FULL');
    const second = budget.take('b', 25);
    expect(codeOf(() => second.grow(1))).toBe('QUEUE_FULL');
    first.release();
    first.release();
    expect(budget.held).toBe(25);
    second.grow(25);
    second.release();
    expect(budget.held).toBe(0);
  });

  test('what is held may become less and more again, and the metric shows it', async () => {
    const metrics = createMetrics();
    const budget = createBudget({ name: 'b', total: 100, metrics });
    const other = createBudget({ name: 'c', total: 100, metrics });
    const [one, two] = [budget.take('a', 40), other.take('a', 7)];
    one.set(10);
    expect(codeOf(() => one.set(51))).toBe('BUSY');
    one.set(30);
    const { text } = await metrics.render();
    expect(text).toContain('worktide_budget_held{budget="b"} 30');
    expect(text).toContain('worktide_budget_held{budget="c"} 7');
    one.release();
    two.release();
    expect([budget.held, other.held]).toEqual([0, 0]);
    expect((await metrics.render()).text).toContain('worktide_budget_held{budget="b"} 0');
  });

  test('many who come one after the other, each for all that it can get, leave room for one more', () => {
    const metrics = createMetrics();
    const budget = createBudget({ name: 'b', total: 1_000_000, metrics, code: 'QUEUE_FULL' });
    const ended: string[] = [];
    for (let i = 0; i < 40; i++) {
      const amount = Math.floor((1_000_000 - budget.held) / 2);
      if (amount === 0) break;
      budget.take(`greedy ${i}`, amount, ({ code }) => ended.push(`${i} ${code}`) > 0);
    }
    expect(1_000_000 - budget.held).toBeLessThan(10);
    const newcomer = budget.take('newcomer', 1_000);
    expect(ended).toEqual(['0 QUEUE_FULL']);
    newcomer.grow(100_000);
    expect(ended).toEqual(['0 QUEUE_FULL']);
    newcomer.release();
  });

  test('what has given up holds nothing, and gets nothing more; what cannot give up any more stays', () => {
    const budget = createBudget({ name: 'b', total: 100, metrics: createMetrics() });
    const long = budget.take('a', 30, () => true);
    const short = budget.take('a', 20, () => false);
    const other = budget.take('b', 25);
    const third = budget.take('c', 20);
    expect(budget.held).toBe(65);
    expect(codeOf(() => long.grow(1))).toBe('BUSY');
    long.release();
    expect(budget.held).toBe(65);
    // Whoever has no more than is asked for keeps it.
    expect(codeOf(() => budget.take('d', 40))).toBe('BUSY');
    for (const one of [short, other, third]) one.release();
    expect(budget.held).toBe(0);
  });

  test('whatever many do, a newcomer finds something, and all comes back', () => {
    const step = fc.record({ who: fc.nat(30), amount: fc.integer({ min: 1, max: 2_000 }), release: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const metrics = createMetrics();
        const budget = createBudget({ name: 'b', total: 10_000, metrics });
        const holdings: Holding[] = [];
        for (const { who, amount, release } of steps) {
          if (release) holdings.shift()?.release();
          else codeOf(() => holdings.push(budget.take(String(who), amount)));
          const free = 10_000 - budget.held;
          expect(free).toBeGreaterThanOrEqual(10_000 / 32 - 1);
          expect(codeOf(() => budget.take('newcomer', Math.floor(free / 2)).release())).toBeUndefined();
        }
        for (const holding of holdings) holding.release();
        expect(budget.held).toBe(0);
      }),
    );
  });
});

/** Works that end when told to. */
function workshop(options: { places: number; placesEach?: number; maxWaiting?: number; maxWaitingEach?: number }) {
  const turns = createTurns({ name: 't', metrics: createMetrics(), ...options });
  const begun: string[] = [];
  const enders: (() => void)[] = [];
  const outcomes: Promise<string>[] = [];
  return {
    turns,
    begun,
    ask(subject: string, cost: number, signal?: AbortSignal): Promise<string> {
      const outcome = turns
        .run(
          subject,
          () => {
            begun.push(subject);
            return new Promise<void>((resolve) => void enders.push(resolve));
          },
          { cost, ...(signal ? { signal } : {}) },
        )
        .then(
          () => 'done',
          (error: unknown) => (error instanceof AppError ? error.code : String(error)),
        );
      outcomes.push(outcome);
      return outcome;
    },
    async end(): Promise<void> {
      await turnOfTheLoop();
      enders.shift()!();
      await turnOfTheLoop();
    },
    async endAll(): Promise<void> {
      while (turns.running > 0) await this.end();
      await Promise.all(outcomes);
    },
  };
}

describe('turns', () => {
  test('a newcomer comes after what is in a place, not after all that wait', async () => {
    const shop = workshop({ places: 2, placesEach: 2 });
    for (let i = 0; i < 50; i++) void shop.ask('greedy', 10);
    void shop.ask('small', 10);
    await shop.end();
    expect(shop.begun).toEqual(['greedy', 'greedy', 'small']);
    await shop.endAll();
    expect(shop.begun).toHaveLength(51);
    expect([shop.turns.running, shop.turns.waiting]).toEqual([0, 0]);
  });

  test('cost counts, not number: one dear work weighs as many cheap ones', async () => {
    const shop = workshop({ places: 1 });
    for (let i = 0; i < 5; i++) void shop.ask('dear', 100);
    for (let i = 0; i < 30; i++) void shop.ask('cheap', 10);
    for (let i = 0; i < 22; i++) await shop.end();
    const dear = shop.begun.slice(0, 22).filter((who) => who === 'dear').length;
    expect(dear).toBeLessThanOrEqual(3);
    expect(dear).toBeGreaterThanOrEqual(2);
    await shop.endAll();
  });

  test('one subject leaves a place free unless told otherwise', async () => {
    const shop = workshop({ places: 3 });
    for (let i = 0; i < 5; i++) void shop.ask('greedy', 1);
    expect(shop.turns.running).toBe(2);
    void shop.ask('small', 1);
    await turnOfTheLoop();
    expect(shop.begun.at(-1)).toBe('small');
    await shop.endAll();
  });

  test('when the line is full, the longest queue pays for the newcomer', async () => {
    const shop = workshop({ places: 1, maxWaiting: 3, maxWaitingEach: 3 });
    void shop.ask('greedy', 1);
    const waiting = [shop.ask('greedy', 1), shop.ask('greedy', 1), shop.ask('greedy', 1)];
    expect(await shop.ask('greedy', 1)).toBe('BUSY');
    const small = shop.ask('small', 1);
    expect(await waiting[2]).toBe('BUSY');
    await shop.endAll();
    expect([await small, await waiting[0], await waiting[1]]).toEqual(['done', 'done', 'done']);
  });

  test('nor is a newcomer kept out by many who have one waiting each, and have had some', async () => {
    const shop = workshop({ places: 1, maxWaiting: 4, maxWaitingEach: 3 });
    const asked = new Map<string, number>();
    const ask = (who: string): void => {
      asked.set(who, (asked.get(who) ?? 0) + 1);
      void shop.ask(who, 10);
    };
    // Five who ask again whenever they were served: the line is full at any time.
    for (const who of ['a', 'b', 'c', 'd', 'e']) ask(who);
    for (let i = 0; i < 8; i++) {
      const served = shop.begun.at(-1)!;
      await shop.end();
      ask(served);
    }
    expect(shop.turns.waiting).toBe(4);
    const small = shop.ask('small', 10);
    await shop.endAll();
    expect(await small).toBe('done');
  });

  test('who goes away while waiting, and work that fails, hold nothing', async () => {
    const shop = workshop({ places: 1 });
    void shop.ask('a', 1);
    const gone = new AbortController();
    const left = shop.ask('b', 1, gone.signal);
    gone.abort();
    expect(await left).toBe('REQUEST_ABORTED');
    expect(shop.turns.waiting).toBe(0);
    await shop.endAll();
    await expect(shop.turns.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await shop.turns.run('a', async () => 1)).toBe(1);
    expect(shop.turns.running).toBe(0);
  });

  test('whose turn does not come in time is told so', async () => {
    const turns = createTurns({ name: 't', places: 1, maxWaitMs: 1, metrics: createMetrics(), code: 'REPORTS_BUSY' });
    const { promise, resolve: end } = Promise.withResolvers<void>();
    const first = turns.run('a', () => promise);
    await expect(turns.run('b', async () => {})).rejects.toMatchObject({ code: 'REPORTS_BUSY', statusCode: 503 });
    end();
    await first;
  });

  test('whoever asks how much: every work is done once, and the cost each gets stays level', async () => {
    const demand = fc.array(fc.record({ who: fc.constantFrom('a', 'b', 'c'), cost: fc.integer({ min: 1, max: 20 }) }), {
      minLength: 60,
      maxLength: 200,
    });
    await fc.assert(
      fc.asyncProperty(demand, fc.integer({ min: 1, max: 3 }), async (works, places) => {
        const shop = workshop({ places, placesEach: places, maxWaitingEach: 300 });
        const left = new Map<string, number>();
        const spent = new Map<string, number>();
        const costs = new Map<string, number[]>();
        for (const { who, cost } of works) {
          void shop.ask(who, cost);
          left.set(who, (left.get(who) ?? 0) + 1);
          costs.set(who, [...(costs.get(who) ?? []), cost]);
        }
        for (let seen = 0; seen < works.length; ) {
          await turnOfTheLoop();
          for (; seen < shop.begun.length; seen++) {
            const who = shop.begun[seen]!;
            spent.set(who, (spent.get(who) ?? 0) + costs.get(who)!.shift()!);
            left.set(who, left.get(who)! - 1);
          }
          const waiting = [...left].filter(([, n]) => n > 0).map(([who]) => spent.get(who) ?? 0);
          // The first ones began before anybody else had asked; from there on, as far apart as works are large.
          if (waiting.length > 1)
            expect(Math.max(...waiting) - Math.min(...waiting)).toBeLessThanOrEqual(20 * (places + 1));
          if (shop.turns.running > 0) await shop.end();
        }
        await shop.endAll();
        expect(shop.begun).toHaveLength(works.length);
      }),
      { numRuns: 50 },
    );
  });
});

describe("people's turns", () => {
  test('a colleague comes after the few that one has in line, a person elsewhere before', async () => {
    const turns = createPeopleTurns({ name: 't', places: 1, maxWaitingPerson: 40, metrics: createMetrics() });
    const begun: string[] = [];
    const enders: (() => void)[] = [];
    const ask = (organizationId: string, userId: string): Promise<void> =>
      turns.run({ organizationId, userId }, () => {
        begun.push(userId);
        return new Promise((resolve) => void enders.push(resolve));
      });
    const works = Array.from({ length: 40 }, () => ask('a', 'greedy'));
    works.push(ask('a', 'colleague'), ask('b', 'elsewhere'));
    for (let i = 0; i < 6; i++) {
      await turnOfTheLoop();
      enders.shift()!();
    }
    await turnOfTheLoop();
    expect(begun.indexOf('colleague')).toBeLessThanOrEqual(3);
    expect(begun.indexOf('elsewhere')).toBeLessThanOrEqual(2);
    while (begun.length < works.length || enders.length > 0) {
      enders.shift()?.();
      await turnOfTheLoop();
    }
    await Promise.all(works);
  });

  test('one has a bound of their own, and who goes away leaves both lines', async () => {
    const turns = createPeopleTurns({ name: 't', places: 1, maxWaitingPerson: 1, metrics: createMetrics(), code: 'B' });
    const { promise, resolve: end } = Promise.withResolvers<void>();
    const who = { organizationId: 'a', userId: 'p' };
    const gone = new AbortController();
    const works = [turns.run(who, () => promise), turns.run(who, () => promise)];
    const left = turns.run(who, () => promise, { signal: gone.signal });
    await expect(turns.run(who, () => promise)).rejects.toMatchObject({ code: 'B', statusCode: 503 });
    gone.abort();
    await expect(left).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
    const next = turns.run(who, async () => 1);
    end();
    await Promise.all(works);
    expect(await next).toBe(1);
  });
});
