/** Milliseconds [start, end); an end of infinity is one that has not come. */
export interface Span {
  start: number;
  end: number;
}

/** What of an entry is time: worked is its span without its pauses, which are disjoint, in order and within it. */
export interface Sheet extends Span {
  pauses: readonly Span[];
}

/** The spans of time worked, in order. */
export function workedOf({ start, end, pauses }: Sheet): Span[] {
  const worked: Span[] = [];
  let from = start;
  for (const pause of pauses) {
    if (pause.start > from) worked.push({ start: from, end: pause.start });
    from = Math.max(from, pause.end);
  }
  if (from < end) worked.push({ start: from, end });
  return worked;
}

/** The union of spans, in order, touching ones made one. */
export function unionOf(spans: readonly Span[]): Span[] {
  const inOrder = spans.filter(({ start, end }) => start < end).sort((a, b) => a.start - b.start);
  const union: Span[] = [];
  for (const { start, end } of inOrder) {
    const last = union.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else union.push({ start, end });
  }
  return union;
}

/** One entry in the place of some: from the first start to the last end, and worked is what is worked in any of them. */
export function mergeSheets(sheets: readonly [Sheet, ...Sheet[]]): Sheet {
  const start = Math.min(...sheets.map((sheet) => sheet.start));
  const end = Math.max(...sheets.map((sheet) => sheet.end));
  return { start, end, pauses: without({ start, end }, unionOf(sheets.flatMap(workedOf))) };
}

/** What of a span is not among these, which are disjoint and in order. */
function without({ start, end }: Span, spans: readonly Span[]): Span[] {
  const left: Span[] = [];
  let from = start;
  for (const span of spans) {
    if (span.start > from) left.push({ start: from, end: span.start });
    from = span.end;
  }
  if (from < end) left.push({ start: from, end });
  return left;
}

/** With its pauses as far as they lie within another span. */
export function cutSheet({ pauses }: Sheet, { start, end }: Span): Sheet {
  const within = pauses.map((pause) => ({ start: Math.max(pause.start, start), end: Math.min(pause.end, end) }));
  return { start, end, pauses: within.filter((pause) => pause.start < pause.end) };
}

export const touches = (a: Span, b: Span): boolean => a.start < b.end && b.start < a.end;
