import { AppError } from '@worktide/runtime';
import type { ItemLimits, Problem } from './kind.ts';
import type { BodyKind } from './read-body.ts';
import { elements, lines } from './spans.ts';

/** An item of a request before it is judged: parsed JSON, or the problem of one that is none or is too large to look at. */
export type Item = { value: unknown } | { problem: Problem };

/**
 * Splits a body that is no larger than one item may be: a JSON object is one item, a JSON array its members, NDJSON its
 * lines that are not blank. A line that is not JSON (cut off, say) is a problem of that item alone.
 * @throws AppError `MALFORMED_JSON`, `EMPTY_REQUEST` (400), or that there are too many (413).
 */
export function readSmall(body: Buffer, format: BodyKind['format'], limits: ItemLimits): Item[] {
  if (format === 'ndjson') return [...readLarge(body, format, { ...limits, maxItemBytes: body.length })];
  const value = parse(body.toString('utf8'));
  if (!Array.isArray(value)) return [{ value }];
  if (value.length > limits.maxItems) throw limits.tooMany();
  if (value.length === 0) throw limits.empty();
  return value.map((member) => ({ value: member }));
}

/**
 * The same of a body of any size, read as it is asked for, each item with its bytes. What is too large for an item is
 * passed over unread: parsing can take a hundred times the memory and forty times the time that an item of that size may.
 * @throws AppError as `readSmall`, when it gets there.
 */
export function* readLarge(
  body: Buffer,
  format: BodyKind['format'],
  { maxItems, maxItemBytes, itemTooLarge, tooMany, empty }: ItemLimits,
): Generator<Item & { bytes: number }> {
  let count = 0;
  for (const [start, end] of format === 'json' ? elements(body) : lines(body)) {
    const bytes = end - start;
    if (++count > maxItems) throw tooMany();
    if (bytes > maxItemBytes) {
      yield { problem: itemTooLarge, bytes };
      continue;
    }
    const text = body.toString('utf8', start, end);
    yield format === 'json' ? { value: parse(text), bytes } : { ...parseLine(text), bytes };
  }
  if (count === 0) throw empty();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('MALFORMED_JSON', 'The body is not valid JSON.', { statusCode: 400, cause: error });
  }
}

function parseLine(text: string): Item {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { problem: { code: 'MALFORMED_JSON', message: 'The line is not valid JSON.' } };
  }
}
