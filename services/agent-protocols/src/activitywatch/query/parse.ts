/** The query language of ActivityWatch: statements `name = expression;`, of which `RETURN` is what is answered. */
export type Expression =
  | { kind: 'value'; value: string | number | boolean }
  | { kind: 'name'; name: string }
  | { kind: 'list'; items: Expression[] }
  | { kind: 'dict'; entries: [string, Expression][] }
  | { kind: 'call'; name: string; args: Expression[] };

export interface Statement {
  name: string;
  value: Expression;
}

/** A query that cannot be carried out, in words for whoever wrote it. */
export class QueryError extends Error {}

const token =
  /\s*(?:([A-Za-z_]\w*)|(-?\d+(?:\.\d+)?)|("(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*')|([=;,:()[\]{}]))/y;
const maxDepth = 50;

/** @throws QueryError with where it stops making sense. */
export function parseQuery(text: string): Statement[] {
  let at = 0;
  let current: { name?: string; number?: string; string?: string; sign?: string } | undefined;

  function advance(): void {
    token.lastIndex = at;
    const found = token.exec(text);
    if (!found) {
      if (text.slice(at).trim() !== '') throw new QueryError(`Syntax error at: ${text.slice(at).trim().slice(0, 60)}`);
      current = undefined;
      return;
    }
    at = token.lastIndex;
    const [, name, number, string, sign] = found;
    current = name ? { name } : number ? { number } : string ? { string } : { sign: sign! };
  }
  function expect(sign: string): void {
    if (current?.sign !== sign)
      throw new QueryError(`"${sign}" is missing before: ${text.slice(at).trim().slice(0, 60)}`);
    advance();
  }

  /** Of what stands between two signs, separated by commas. */
  function items<T>(end: string, one: () => T): T[] {
    const all: T[] = [];
    while (current?.sign !== end) {
      if (all.length > 0) expect(',');
      if (current?.sign === end) break;
      all.push(one());
    }
    advance();
    return all;
  }

  function expression(depth: number): Expression {
    if (depth > maxDepth) throw new QueryError('The query is nested too deeply.');
    const here = current;
    advance();
    if (here?.string !== undefined) return { kind: 'value', value: unquoted(here.string) };
    if (here?.number !== undefined) return { kind: 'value', value: Number(here.number) };
    if (here?.sign === '[') return { kind: 'list', items: items(']', () => expression(depth + 1)) };
    if (here?.sign === '{') {
      return {
        kind: 'dict',
        entries: items('}', () => {
          const key = current?.string;
          if (key === undefined) throw new QueryError('A key of a dict is a text.');
          advance();
          expect(':');
          return [unquoted(key), expression(depth + 1)];
        }),
      };
    }
    const name = here?.name;
    if (name === undefined) throw new QueryError('A value is missing.');
    if (current?.sign === '(') {
      advance();
      return { kind: 'call', name, args: items(')', () => expression(depth + 1)) };
    }
    if (/^true$/i.test(name)) return { kind: 'value', value: true };
    if (/^false$/i.test(name)) return { kind: 'value', value: false };
    return { kind: 'name', name };
  }

  const statements: Statement[] = [];
  advance();
  while (current) {
    if (current.sign === ';') {
      advance();
      continue;
    }
    const { name } = current;
    if (name === undefined) throw new QueryError('A statement begins with the name of a variable.');
    advance();
    expect('=');
    statements.push({ name, value: expression(0) });
    if (current) expect(';');
  }
  return statements;
}

/** Backslashes are part of a text, as regular expressions need them, but before its own quotes. */
const unquoted = (quoted: string): string => quoted.slice(1, -1).replaceAll(`\\${quoted[0]}`, quoted[0]!);
