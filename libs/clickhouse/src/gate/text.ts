import { invalid } from '@worktide/runtime';
import { type Token, tokens } from '../sql.ts';

/** The most bytes of a query. */
export const maxQueryBytes = 64 * 1024;

export const refuse = (why: string) => invalid('QUERY_REFUSED', `This query is not run: ${why}`);

export interface CheckedText {
  /** The query with blanks for its comments and without what follows it: each character stands where it stood. */
  sql: string;
  /** What a `FORMAT` at its end names. */
  format: string | undefined;
}

/** Words that begin a clause which says how a query is run, or where its answer goes. Quoted they are names like others. */
const clauses = new Map([
  ['INTO', 'INTO OUTFILE is not for analysts.'],
  ['OUTFILE', 'INTO OUTFILE is not for analysts.'],
  ['SETTINGS', 'SETTINGS cannot be set; quote the word where it is a name.'],
  ['PREWHERE', 'PREWHERE is not for views; write WHERE.'],
  ['PARALLEL', 'one SELECT at a time.'],
  ['EXPLAIN', 'only a SELECT is run, not EXPLAIN.'],
  ['GLOBAL', 'GLOBAL is not for views.'],
]);

/** What the engine would read of such a value is its own memory. */
export const stateTypes = /AggregateFunction|^(Dynamic|JSON|Object|Variant|QBit)$/i;

function checkToken(token: Token, text: string): void {
  const { kind, text: word, start } = token;
  if (kind === 'symbol' && !/^[!-~]$/.test(word)) {
    throw refuse(`the character at ${start + 1} is allowed within quotes only.`);
  }
  if (kind === 'symbol' && (word === '#' || word === '$' || word === '\\'))
    throw refuse(`${word} is not allowed here.`);
  if (kind === 'literal' && word.startsWith('$')) throw refuse('write texts in single quotes, not as heredocs.');
  // What the engine shows of a query would not say any more where a name ends.
  if (kind === 'quoted' && !/^(.)[^\p{C}\\`"]*\1$/u.test(word)) {
    throw refuse(`the name at ${start + 1} has characters that names must not have.`);
  }
  if (kind === 'literal' && word.startsWith("'") && !(word.length > 1 && word.endsWith("'"))) {
    throw refuse(`the text at ${start + 1} does not end.`);
  }
  if (kind === 'word' && text[token.end] !== '(') {
    const why = clauses.get(word.toUpperCase());
    if (why) throw refuse(why);
  }
  if (kind === 'word' && stateTypes.test(word)) throw refuse(`the type ${word} is not for analysts.`);
}

/** The format that ends a query, and where it begins. */
function formatAtEnd(list: readonly Token[]): { format: string | undefined; count: number } {
  const [before, last] = list.slice(-2);
  if (before?.kind === 'word' && before.text.toUpperCase() === 'FORMAT' && last?.kind === 'word') {
    return { format: last.text, count: list.length - 2 };
  }
  return { format: undefined, count: list.length };
}

/**
 * What can be said of a query from its words alone: one, a SELECT, of bounded length, with no clause that says how it is
 * run. Everything else is said of its syntax tree.
 * @throws AppError 400 `QUERY_REFUSED`.
 */
export function checkText(text: string): CheckedText {
  if (Buffer.byteLength(text) > maxQueryBytes) throw refuse(`it is longer than ${maxQueryBytes / 1024} kB.`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
  if (/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\u2028\u2029]/.test(text)) throw refuse('it has control characters.');
  if (!text.isWellFormed()) throw refuse('it is no valid Unicode.');
  let all = [...tokens(text)];
  while (all.at(-1)?.text === ';') all = all.slice(0, -1);
  const { format, count } = formatAtEnd(all);
  const kept = all.slice(0, count);
  const first = kept.find(({ text: symbol }) => symbol !== '(');
  if (!first) throw refuse('it is empty.');
  if (first.kind !== 'word' || !/^(select|with)$/i.test(first.text)) throw refuse('only a SELECT is run.');

  let depth = 0;
  for (const [i, token] of kept.entries()) {
    checkToken(token, text);
    const { kind, text: symbol } = token;
    if (kind === 'word' && /^format$/i.test(symbol) && kept[i + 1]?.text !== '(') {
      throw refuse('FORMAT stands at the end, or quote the word where it is a name.');
    }
    if (kind === 'word' && /^identifier$/i.test(symbol) && kept[i - 1]?.text === ':') {
      throw refuse('parameters are values, not names.');
    }
    if (kind !== 'symbol') continue;
    if (symbol === ';') throw refuse('one SELECT at a time.');
    if (symbol === '(') depth++;
    if (symbol === ')' && --depth < 0) throw refuse('its brackets do not match.');
  }
  if (depth !== 0) throw refuse('its brackets do not match.');

  let sql = '';
  for (const { start, end } of kept)
    sql += text.slice(sql.length, start).replace(/[^\n]/g, ' ') + text.slice(start, end);
  return { sql, format };
}
