import { invalid } from '@worktide/runtime';

/** Where a part of a body begins, and where it has ended. */
export type Span = [start: number, end: number];

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

const [space, tab, newline, carriageReturn] = [0x20, 0x09, 0x0a, 0x0d];

const isBlank = (byte: number | undefined): boolean =>
  byte === space || byte === newline || byte === carriageReturn || byte === tab;

/** Without the blanks around it. */
function trimmed(body: Buffer, start: number, end: number): Span {
  while (start < end && isBlank(body[start])) start++;
  while (end > start && isBlank(body[end - 1])) end--;
  return [start, end];
}

/**
 * The members of a JSON array, unparsed, or the one value that the body is otherwise. Where the brackets and quotes of
 * the array itself are right and every member is JSON, so is the whole: what is between them is left to whoever reads
 * them. UTF-8 has these bytes nowhere else, so bytes will do.
 * @throws AppError `MALFORMED_JSON` (400), when it gets there.
 */
export function* elements(body: Buffer): Generator<Span> {
  const [first, last] = trimmed(body, 0, body.length);
  if (body[first] !== openList) return yield [first, last];
  let start = first + 1;
  let depth = 0;
  let members = 0;
  for (let at = start; at < last; at++) {
    const byte = body[at]!;
    if (byte === quote) at = endOfString(body, at, last);
    else if (byte === openObject || byte === openList) depth++;
    else if (depth > 0 && (byte === closeObject || byte === closeList)) depth--;
    else if (depth === 0 && byte === comma) {
      members++;
      yield trimmed(body, start, at);
      start = at + 1;
    } else if (byte === closeList) {
      if (at !== last - 1) break;
      const span = trimmed(body, start, at);
      // Of `[]` and `[ ]`. Behind a comma nothing is a member that is no JSON.
      if (members > 0 || span[0] < span[1]) yield span;
      return;
    }
  }
  throw invalid('MALFORMED_JSON', 'The body is not valid JSON.');
}

/** The place of the closing quote; behind the end where there is none. */
function endOfString(body: Buffer, open: number, end: number): number {
  let at = open + 1;
  while (at < end && body[at] !== quote) at += body[at] === backslash ? 2 : 1;
  return at;
}

/** The lines of a body that are not blank, whatever is in them, without the blanks around. */
export function* lines(body: Buffer): Generator<Span> {
  for (let start = 0; ; ) {
    while (isBlank(body[start])) start++;
    if (start >= body.length) return;
    const found = body.indexOf(newline, start);
    const end = found < 0 ? body.length : found;
    yield trimmed(body, start, end);
    start = end + 1;
  }
}
