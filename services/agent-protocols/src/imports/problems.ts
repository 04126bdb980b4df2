import type { ImportProblem } from '@worktide/schemas';
import type { Problem } from './items.ts';

const maxCodes = 50;
const maxRows = 10;

/** What is wrong with rows of a file, by code, with the first rows of each. */
export interface Problems {
  add(problem: Problem, row: number | undefined, count?: number): void;
  readonly list: ImportProblem[];
}

/** @param known goes on with these. */
export function createProblems(known: readonly ImportProblem[] = []): Problems {
  const all = new Map(known.map((one) => [one.code, { ...one, rows: [...one.rows] }]));
  return {
    add({ code, message }, row, count = 1) {
      let one = all.get(code);
      if (!one) {
        if (all.size >= maxCodes) return;
        one = { code, message, count: 0, rows: [] };
        all.set(code, one);
      }
      one.count += count;
      if (row !== undefined && one.rows.length < maxRows) one.rows.push(row);
    },
    get list() {
      return [...all.values()];
    },
  };
}
