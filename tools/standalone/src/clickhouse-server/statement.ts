import { skipBlank, type Token, tokens } from '@worktide/clickhouse/sql';
import { ClickHouseError, errorCodes } from './errors.ts';

/**
 * What the server must know about a statement before the engine runs it: whether data follows it
 * (then the data travels apart from the text) and which format its answer has.
 */
export type Statement =
  | {
      kind: 'insert';
      /** The statement up to the data clause, without SETTINGS: `INSERT INTO t (a, b)`. */
      target: string;
      /** The SETTINGS clause as written, or the empty string. */
      settings: string;
      /** Name of the data's format; undefined where the statement names none and `default_format` decides. */
      format: string | undefined;
      /** Index in the text where inline data begins; the text's length where there is none. */
      dataStart: number;
    }
  | { kind: 'other'; sql: string; isInsertSelect: boolean; format: string | undefined };

const next = (rest: Generator<Token, undefined>): Token | undefined => rest.next().value;

const keyword = (token: Token | undefined): string => (token?.kind === 'word' ? token.text.toUpperCase() : '');

/** Data begins after the format's name, the blanks on its line and one line break (as in ClickHouse's own parser). */
function dataStartAfter(text: string, end: number): number {
  if (text[skipBlank(text, end)] === ';' && text.slice(end).trim() === ';') return text.length;
  let i = end;
  while (text[i] === ' ' || text[i] === '\t' || text[i] === '\f') i++;
  if (text[i] === '\r') i++;
  if (text[i] === '\n') i++;
  return i;
}

/** Skips a bracket that opens at `open`; returns whether a query stands directly inside it. */
function skipBrackets(rest: Generator<Token, undefined>): boolean {
  let depth = 1;
  let first: Token | undefined;
  for (let token = next(rest); token && depth > 0; token = next(rest)) {
    first ??= token;
    if (token.text === '(') depth++;
    if (token.text === ')' && --depth === 0) break;
  }
  return ['SELECT', 'WITH'].includes(keyword(first));
}

/**
 * `INSERT [INTO] [TABLE] name | FUNCTION f(…) [(columns)] [SETTINGS …] FORMAT f data | VALUES data`, the keyword INSERT
 * being read already. Undefined for all other forms (`… SELECT`, `… FROM INFILE`): they carry no data.
 */
function parseInsert(text: string, rest: Generator<Token, undefined>): Statement | undefined {
  let token = next(rest);
  if (keyword(token) === 'INTO') token = next(rest);
  if (keyword(token) === 'TABLE') token = next(rest);
  if (keyword(token) === 'FUNCTION') token = next(rest);
  token = next(rest); // past the name, whatever it reads like
  while (token?.text === '.') {
    next(rest);
    token = next(rest);
  }
  while (token?.text === '(') {
    if (skipBrackets(rest)) return undefined;
    token = next(rest);
  }
  const settingsStart = keyword(token) === 'SETTINGS' ? token!.start : undefined;
  const clauses = ['FORMAT', 'VALUES', 'SELECT', 'WITH', 'FROM', 'WATCH'];
  while (token && token.text !== ';' && !clauses.includes(keyword(token))) token = next(rest);

  const end = token?.start ?? text.length;
  const target = text.slice(0, settingsStart ?? end).trim();
  const settings = settingsStart === undefined ? '' : text.slice(settingsStart, end).trim();
  switch (keyword(token)) {
    case '':
      if (token) refuseSecond(text, token.end);
      return { kind: 'insert', target, settings, format: undefined, dataStart: text.length };
    case 'VALUES':
      return { kind: 'insert', target, settings, format: 'Values', dataStart: token!.end };
    case 'FORMAT': {
      const name = next(rest);
      if (name?.kind !== 'word')
        throw new ClickHouseError(errorCodes.SYNTAX_ERROR, 'Syntax error: FORMAT wants a name');
      return { kind: 'insert', target, settings, format: name.text, dataStart: dataStartAfter(text, name.end) };
    }
    default:
      return undefined;
  }
}

function refuseSecond(text: string, from: number): void {
  if (/[^\s;]/.test(text.slice(skipBlank(text, from)).replace(/^;+/, ''))) {
    throw new ClickHouseError(errorCodes.SYNTAX_ERROR, 'Multi-statements are not allowed');
  }
}

/**
 * Reads one statement. Only what `INSERT … VALUES|FORMAT` needs is understood, everything else is the engine's.
 * @param text the statement, perhaps with data after it; one character per byte where that data is binary (latin1).
 * @throws ClickHouseError 62 for no statement or a second one, 48 for `INSERT … SELECT … FROM input(…)`.
 */
export function parseStatement(text: string): Statement {
  const stream = tokens(text);
  const first = next(stream);
  if (!first) throw new ClickHouseError(errorCodes.SYNTAX_ERROR, 'Syntax error: Empty query');
  const isInsert = keyword(first) === 'INSERT';
  if (isInsert) {
    const insert = parseInsert(text, stream);
    if (insert) return insert;
  }

  // The format is the word after a FORMAT that ends the statement or has only SETTINGS behind it.
  let end = text.length;
  let format: string | undefined;
  let before: Token | undefined;
  let candidate: string | undefined;
  for (const token of tokens(text)) {
    if (token.kind === 'symbol' && token.text === ';') {
      refuseSecond(text, token.end);
      end = token.start;
      break;
    }
    if (isInsert && keyword(before) === 'INPUT' && token.text === '(') {
      // The engine would look for the data on its stdin, find none, and report success.
      throw new ClickHouseError(errorCodes.NOT_IMPLEMENTED, 'INSERT … SELECT FROM input() is not supported');
    }
    if (candidate && keyword(token) === 'SETTINGS') format = candidate;
    candidate = keyword(before) === 'FORMAT' && token.kind === 'word' ? token.text : undefined;
    before = token;
  }
  format = candidate ?? format;
  return { kind: 'other', sql: text.slice(0, end).trim(), isInsertSelect: isInsert, format };
}
