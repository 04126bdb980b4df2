import { median } from './statistics.ts';

/** One line of the result. Higher is better for rates, lower for times. */
export interface Figure {
  part: string;
  what: string;
  unit:
    | 'pings/s'
    | 'pairs/s'
    | 'ms'
    | 's'
    | 'MiB'
    | 'µs/ping'
    | 'µs/entry'
    | 'µs/pair'
    | 'entries/s'
    | 'MB/s'
    | '1/s'
    | '';
  ours: number;
  floor?: number;
  /** Ours to the floor's. */
  ratio?: number;
  goal?: string;
}

export interface Report {
  add(figure: Figure): void;
  /**
   * Rates of ours and of the floor from alternating runs: the medians, and the median of the ratios of the pairs,
   * which what else the machine is doing disturbs less than the ratio of the medians.
   */
  addPairs(figure: Omit<Figure, 'ours' | 'floor' | 'ratio'>, ours: readonly number[], floor: readonly number[]): void;
  readonly figures: readonly Figure[];
}

export function createReport(): Report {
  const figures: Figure[] = [];
  const add = (figure: Figure): void => void figures.push(figure);
  return {
    add,
    addPairs(figure, ours, floor) {
      const ratio = median(ours.map((value, i) => value / floor[i]!));
      add({ ...figure, ours: median(ours), floor: median(floor), ratio });
    },
    figures,
  };
}

const number = (value: number | undefined, unit: Figure['unit']): string => {
  if (value === undefined || Number.isNaN(value)) return '';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toLocaleString('en', { maximumFractionDigits: digits })}${unit === '' ? '' : ` ${unit}`}`;
};

/** A Markdown table that is readable as it is. */
export function table(figures: readonly Figure[]): string {
  const head = ['part', 'figure', 'ours', 'floor', 'ratio', 'goal'];
  const rows = figures.map(({ part, what, unit, ours, floor, ratio, goal }) => [
    part,
    what,
    number(ours, unit),
    number(floor, unit),
    ratio === undefined ? '' : ratio.toFixed(2),
    goal ?? '',
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const right = (i: number): boolean => i >= 2 && i <= 4;
  const line = (cells: string[]): string =>
    `| ${cells.map((cell, i) => (right(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => `${'-'.repeat(width + 1)}${right(i) ? ':' : '-'}`).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}
