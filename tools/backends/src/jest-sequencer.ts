import { createRequire } from 'node:module';
import { sep } from 'node:path';
import type { Test } from '@jest/test-result';
import type sequencer from '@jest/test-sequencer';

// Its types are those of `require`.
const { default: Sequencer }: typeof sequencer = createRequire(import.meta.url)('@jest/test-sequencer');
const ofWholeProduct = `${sep}tests${sep}src${sep}`;

/** Those of the whole product take minutes: one that came last would run alone, with the other workers idle. */
export default class LongestFirst extends Sequencer {
  override sort(tests: Test[]): Test[] {
    const sorted = super.sort(tests) as Test[];
    const [whole, parts] = [true, false].map((is) => sorted.filter(({ path }) => path.includes(ofWholeProduct) === is));
    return [...whole!, ...parts!];
  }
}
