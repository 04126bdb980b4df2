import { AppError, invalid } from '@worktide/runtime';

/** What the engine says of a failed query. */
export interface EngineFailure {
  code: number;
  message: string;
}

/** `Code: 62. DB::Exception: …` in an answer or an error. */
export function readFailure(text: string): EngineFailure | undefined {
  const found = /Code: (\d+)\. DB::Exception: ([\s\S]*)/.exec(text);
  return found ? { code: Number(found[1]), message: found[2]! } : undefined;
}

/** TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, TOO_MANY_COLUMNS, TOO_DEEP_SUBQUERIES, TOO_DEEP_AST, TOO_BIG_AST, SET_SIZE_LIMIT_EXCEEDED, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES, CANNOT_ALLOCATE_MEMORY, TOO_DEEP_RECURSION, LIMIT_EXCEEDED. */
const expensive = new Map([
  [158, 'it reads more rows than a query may'],
  [159, 'it takes longer than a query may'],
  [160, 'it takes longer than a query may'],
  [161, 'it is larger than a query may be'],
  [162, 'it is deeper than a query may be'],
  [167, 'it is deeper than a query may be'],
  [168, 'it is larger than a query may be'],
  [173, 'it takes more memory than a query may'],
  [191, 'it takes more memory than a query may'],
  [241, 'it takes more memory than a query may'],
  [290, 'it is larger than a query may be'],
  [306, 'it is deeper than a query may be'],
  [307, 'it reads more bytes than a query may'],
  [396, 'its answer is larger than one may be'],
]);

/** Errors of the query's own text, told before any row is read. */
const ofText = new Set([42, 43, 46, 47, 60, 62, 63, 81, 179, 184, 207, 215, 352, 386, 456, 457]);

/** Of the server, not of the query: later may go better. Not 60 and 81 here, which a query's own names give. */
const passing = new Set([202, 203, 209, 210, 225, 236, 243, 279, 285, 394, 439, 999]);

const names = new Map([
  [6, 'CANNOT_PARSE_TEXT'],
  [26, 'CANNOT_PARSE_QUOTED_STRING'],
  [38, 'CANNOT_PARSE_DATE'],
  [41, 'CANNOT_PARSE_DATETIME'],
  [53, 'TYPE_MISMATCH'],
  [69, 'ARGUMENT_OUT_OF_BOUND'],
  [70, 'CANNOT_CONVERT_TYPE'],
  [72, 'CANNOT_PARSE_NUMBER'],
  [125, 'INCORRECT_RESULT_OF_SCALAR_SUBQUERY'],
  [153, 'ILLEGAL_DIVISION'],
  [349, 'CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN'],
  [376, 'CANNOT_PARSE_UUID'],
  [407, 'DECIMAL_OVERFLOW'],
]);

/** The first sentence, without the query, suggestions and places that follow it: they name what is not the analyst's. */
function sentenceOf(message: string): string {
  const [first = ''] = message.split(/:? (?:In|in) scope |: While | Maybe you meant|\. Stack trace|: \(?while /);
  return first
    .replace(/\s*\([A-Z_]+\)(?: \(version .*)?\s*$/, '')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 300)
    .replace(/[.:\s]*$/, '.');
}

/** Where in the query: bytes of what stood before it are taken off. */
function positionOf(message: string, sql: string, before: number): string | undefined {
  const found = /failed at position (\d+)/.exec(message);
  if (!found) return undefined;
  const bytes = Buffer.from(sql);
  const at = Math.min(Math.max(Number(found[1]) - 1 - before, 0), bytes.length);
  const lines = bytes.subarray(0, at).toString().split('\n');
  return `line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
}

/**
 * What a failure of the engine means to who asked: 422 `QUERY_TOO_EXPENSIVE`, 400 `QUERY_FAILED`, or undefined where it is not
 * the query's fault. Never with what the engine quotes of rows, or names of what lies beneath the views.
 * @param before bytes of the statement in front of the query.
 * @param hidden names that are not to be told.
 */
export function queryFailure(
  failure: EngineFailure,
  sql: string,
  { before = 0, hidden = [] }: { before?: number; hidden?: readonly string[] } = {},
): AppError | undefined {
  const { code, message } = failure;
  if (passing.has(code)) return undefined;
  const why = expensive.get(code);
  if (why) {
    return new AppError('QUERY_TOO_EXPENSIVE', `This query was ended: ${why}. Narrow it down.`, { statusCode: 422 });
  }
  if (code === 62) {
    const position = positionOf(message, sql, before);
    const text = `The query has a syntax error${position ? ` at ${position}` : ''}.`;
    return invalid('QUERY_FAILED', text, [
      { path: 'body.sql', code: 'SYNTAX_ERROR', message: `Syntax error at ${position ?? 'its end'}` },
    ]);
  }
  const sentence = ofText.has(code) ? sentenceOf(message) : '';
  const tells = sentence !== '' && !hidden.some((name) => sentence.includes(name));
  const named = names.get(code) ?? /\(([A-Z][A-Z_]+)\)(?: \(version|\s*$)/.exec(message)?.[1] ?? `code ${code}`;
  return invalid('QUERY_FAILED', tells ? sentence : `The query failed: ${named}.`, [
    { path: 'body.sql', code: 'QUERY_FAILED', message: `The engine says ${named}` },
  ]);
}
