import { createBudget, createMetrics, createTurns } from '@worktide/runtime';
import type { Context } from '../context.ts';

/** Organisations that have a share at the same time. */
const subjects = Array.from({ length: 100 }, (_, i) => `organization ${i}`);
const operations = 200_000;

/**
 * What a share costs by itself, beside doing without: a holding that is taken, grown as a body comes, and let go; a turn
 * that is free at once; one that is waited for among many.
 */
export async function shares(context: Context): Promise<void> {
  const { options, report, say } = context;
  const metrics = createMetrics();
  const budget = createBudget({ name: 'bench', total: 2 ** 30, metrics });
  const free = createTurns({ name: 'bench free', places: 8, metrics });
  const busy = createTurns({ name: 'bench busy', places: 8, maxWaiting: 10_000, maxWaitingEach: 10_000, metrics });
  const work = async (): Promise<void> => {};

  async function rateOf(count: number, run: () => Promise<void> | void): Promise<number> {
    const startedAt = performance.now();
    await run();
    return (count / (performance.now() - startedAt)) * 1_000;
  }

  for (let round = 0; round < options.rounds; round++) {
    const held = await rateOf(operations, () => {
      for (let i = 0; i < operations; i++) {
        const holding = budget.take(subjects[i % subjects.length]!, 4_096);
        holding.grow(7_000);
        holding.release();
      }
    });
    const alone = await rateOf(operations / 10, async () => {
      for (let i = 0; i < operations / 10; i++) await free.run(subjects[i % subjects.length]!, work);
    });
    const waiting = await rateOf(operations / 10, async () => {
      for (let done = 0; done < operations / 10; done += 1_000) {
        const all = Array.from({ length: 1_000 }, (_, i) => busy.run(subjects[i % subjects.length]!, work));
        await Promise.all(all);
      }
    });
    say(
      `  ${(1e6 / held).toFixed(2)} µs a holding, ${(1e6 / alone).toFixed(1)} µs a turn, ${(1e6 / waiting).toFixed(1)} µs a turn waited for`,
    );
    if (round < options.rounds - 1) continue;
    report.add({ part: 'shares', what: 'holdings taken, grown and let go', unit: '1/s', ours: held });
    report.add({ part: 'shares', what: 'turns taken at once', unit: '1/s', ours: alone });
    report.add({
      part: 'shares',
      what: 'turns waited for, 1,000 at a time of 100 subjects',
      unit: '1/s',
      ours: waiting,
    });
  }
}
