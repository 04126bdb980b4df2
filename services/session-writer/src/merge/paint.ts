/** Whole milliseconds since the epoch, [start, end) half open. */
export interface Span {
  start: number;
  end: number;
}

/** A span that a key covers; the key by its rank in the fixed order, lower wins. */
export interface Covered extends Span {
  rank: number;
}

/**
 * Who owns each millisecond: the lowest rank of those that cover it.
 * @param spans sorted by start; none empty.
 * @returns owned spans in order, disjoint, neighbours of one rank made one. O(n log n) also where all overlap.
 */
export function paint(spans: readonly Covered[]): Covered[] {
  const owned: Covered[] = [];
  /** Covering now: a binary heap by rank; what has ended is dropped when it comes to the top. */
  const heap: Covered[] = [];
  let next = 0;
  let at = 0;
  while (next < spans.length || heap.length > 0) {
    if (heap.length === 0) at = spans[next]!.start;
    while (next < spans.length && spans[next]!.start <= at) push(heap, spans[next++]!);
    const top = heap[0]!;
    if (top.end <= at) {
      pop(heap);
      continue;
    }
    const until = next < spans.length && spans[next]!.start < top.end ? spans[next]!.start : top.end;
    const last = owned[owned.length - 1];
    if (last !== undefined && last.rank === top.rank && last.end === at) last.end = until;
    else owned.push({ start: at, end: until, rank: top.rank });
    at = until;
  }
  return owned;
}

function push(heap: Covered[], span: Covered): void {
  let i = heap.length;
  heap.push(span);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]!.rank <= span.rank) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = span;
}

function pop(heap: Covered[]): void {
  const last = heap.pop()!;
  const size = heap.length;
  if (size === 0) return;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]!.rank < heap[child]!.rank) child++;
    if (heap[child]!.rank >= last.rank) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
}
