export interface Token {
  /** `quoted` is a quoted name, `literal` a string, number or heredoc. */
  kind: 'word' | 'quoted' | 'literal' | 'symbol';
  text: string;
  start: number;
  end: number;
}

/** The index after a quoted run that begins at `start`; a quote is escaped by a backslash or by doubling it. */
function endOfQuoted(text: string, start: number): number {
  const quote = text[start]!;
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === quote) {
      if (text[i + 1] !== quote) return i + 1;
      i++;
    }
  }
  return text.length;
}

/** The index after the block comment that begins at `start`; they nest. */
function endOfComment(text: string, start: number): number {
  let depth = 1;
  for (let i = start + 2; i < text.length; i++) {
    if (text.startsWith('/*', i)) depth++;
    else if (!text.startsWith('*/', i)) continue;
    else if (--depth === 0) return i + 2;
    i++;
  }
  return text.length;
}

/** The index after whitespace and comments (`--`, `#!`, `# `, block comments) that begin at `start`. */
export function skipBlank(text: string, start: number): number {
  let i = start;
  for (;;) {
    while (i < text.length && /\s/.test(text[i]!)) i++;
    if (text.startsWith('--', i) || text.startsWith('#!', i) || text.startsWith('# ', i)) {
      const newline = text.indexOf('\n', i);
      i = newline < 0 ? text.length : newline + 1;
    } else if (text.startsWith('/*', i)) i = endOfComment(text, i);
    else return i;
  }
}

/** The index after the heredoc (`$tag$ … $tag$`) at `start`, or after the lone dollar sign. */
function endOfHeredoc(text: string, start: number): number {
  const tag = /^\$\w*\$/.exec(text.slice(start, start + 128))?.[0];
  const close = tag ? text.indexOf(tag, start + tag.length) : -1;
  return tag && close >= 0 ? close + tag.length : start + 1;
}

/**
 * The tokens of ClickHouse's SQL (src/Parsers/Lexer.cpp), as far as telling clauses from names and strings needs it.
 * Lazy, since data may follow the part that is read.
 */
export function* tokens(text: string): Generator<Token, undefined> {
  for (let i = skipBlank(text, 0); i < text.length; ) {
    const start = i;
    const c = text[i]!;
    let kind: Token['kind'] = 'symbol';
    const run = (pattern: RegExp): void => {
      while (i < text.length && pattern.test(text[i]!)) i++;
    };
    if (c === "'" || c === '`' || c === '"') {
      kind = c === "'" ? 'literal' : 'quoted';
      i = endOfQuoted(text, i);
    } else if (/[A-Za-z_]/.test(c)) {
      kind = 'word';
      run(/[\w$]/);
    } else if (/[0-9]/.test(c)) {
      kind = 'literal';
      run(/[\w.]/);
    } else if (c === '$') {
      i = endOfHeredoc(text, i);
      if (i > start + 1) kind = 'literal';
    } else i++;
    yield { kind, text: text.slice(start, i), start, end: i };
    i = skipBlank(text, i);
  }
  return undefined;
}

/** The statements of a file, split at the semicolons that are not inside strings, names or comments. */
export function splitStatements(text: string): string[] {
  const statements: string[] = [];
  let start = 0;
  let empty = true;
  const add = (end: number): void => {
    if (!empty) statements.push(text.slice(start, end).trim());
    empty = true;
  };
  for (const token of tokens(text)) {
    if (token.text === ';') {
      add(token.start);
      start = token.end;
    } else empty = false;
  }
  add(text.length);
  return statements;
}
