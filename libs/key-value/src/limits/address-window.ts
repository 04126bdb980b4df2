import { addressSite, type LimitState } from '@worktide/runtime';
import type { Limits, WindowLimit } from './types.ts';

/** Households and offices that one site may have before they count as one caller of many addresses. */
const groupsOfSite = 16;

/**
 * A window for addresses as of `addressGroup`. IPv6 is counted by its /48 besides, with sixteen times as much: whoever
 * has one of those has 65,536 of the others, each of which would else be somebody new.
 */
export function addressWindow(
  limits: Pick<Limits, 'window'>,
  options: { name: string; points: number; seconds: number },
): WindowLimit {
  const { name, points, seconds } = options;
  const group = limits.window(options);
  const site = limits.window({ name: `${name}-site`, points: points * groupsOfSite, seconds });
  return {
    async take(subject, n) {
      const state: LimitState = await group.take(subject, n);
      const of = addressSite(subject);
      if (of === undefined) return state;
      const wide = await site.take(of, n);
      return wide.remaining < state.remaining ? wide : state;
    },
    async giveBack(subject, n) {
      await group.giveBack(subject, n);
      const of = addressSite(subject);
      if (of !== undefined) await site.giveBack(of, n);
    },
  };
}
