export interface Interval {
  /** Instants in ms; `to` is not included. */
  from: number;
  to: number;
}

/** Milliseconds of the union of intervals, each clipped to [from, to): two devices at once count once. */
export function unionMs(
  intervals: readonly Interval[],
  from = Number.NEGATIVE_INFINITY,
  to = Number.POSITIVE_INFINITY,
): number {
  const sorted = intervals
    .map((one) => ({ from: Math.max(one.from, from), to: Math.min(one.to, to) }))
    .filter((one) => one.to > one.from)
    .sort((a, b) => a.from - b.from);
  let sum = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const one of sorted) {
    sum += Math.max(0, one.to - Math.max(one.from, end));
    end = Math.max(end, one.to);
  }
  return sum;
}

/** Intervals in the order of their begin that together cover the same, none of which touch. */
function merged(intervals: readonly Interval[]): Interval[] {
  const pieces: Interval[] = [];
  for (const one of [...intervals].sort((a, b) => a.from - b.from)) {
    const last = pieces.at(-1);
    if (last && one.from <= last.to) last.to = Math.max(last.to, one.to);
    else pieces.push({ from: one.from, to: one.to });
  }
  return pieces;
}

/** What of each interval none of the others covers, in pieces. */
export function withoutThose<T extends Interval>(intervals: readonly T[], others: readonly Interval[]): T[] {
  const taken = merged(others);
  return intervals.flatMap((one) => {
    const pieces: T[] = [];
    let from = one.from;
    for (let n = firstAfter(taken, one.from); n < taken.length && taken[n]!.from < one.to; n++) {
      if (taken[n]!.from > from) pieces.push({ ...one, from, to: taken[n]!.from });
      from = taken[n]!.to;
    }
    if (from < one.to) pieces.push({ ...one, from });
    return pieces;
  });
}

/** The first that ends after an instant, of some that follow one another: a day has thousands. */
function firstAfter(pieces: readonly Interval[], at: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pieces[middle]!.to > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
