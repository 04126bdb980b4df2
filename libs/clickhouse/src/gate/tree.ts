import { functions } from './functions.ts';
import { refuse, stateTypes } from './text.ts';

/** A line of `EXPLAIN AST`. */
interface Line {
  depth: number;
  kind: string;
  /** What stands after the kind, without alias and number of children. */
  name: string;
}

/** Kinds of a syntax tree that mean nothing beyond what they hold. */
const plainKinds = new Set(
  `SelectWithUnionQuery SelectQuery SelectIntersectExceptQuery ExpressionList TablesInSelectQuery TablesInSelectQueryElement
   TableExpression TableJoin ArrayJoin Subquery Literal Identifier Asterisk QualifiedAsterisk ColumnsTransformerList
   ColumnsExceptTransformer OrderByElement WindowDefinition WindowListElement WithElement InterpolateElement SampleRatio
   StorageOrderByElement DataType NameTypePair GroupingSets`.split(/\s+/),
);
/** Functions whose second argument is a type, and those where it may name a table. */
const typed = /^(_?cast|accuratecast(ornull|ordefault)?)$/i;
const tableAsSet = /^(global)?(not)?(null)?in(ignoreset)?$/i;

function parse(text: string): Line[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const { indent = '', kind = '', rest = '' } = /^(?<indent> *)(?<kind>\S+) ?(?<rest>.*)$/.exec(line)?.groups ?? {};
      const name = rest.replace(/ ?\(children \d+\)$/, '').replace(/ ?\(alias .*\)$/, '');
      return { depth: indent.length, kind, name };
    });
}

export interface Readable {
  /** Database of the views, which is the current one. */
  database: string;
  views: ReadonlySet<string>;
  /** `database.table` of others that may be read. */
  others?: ReadonlySet<string>;
}

/**
 * Says of the syntax tree of a query, as `EXPLAIN AST` shows it, that it is one SELECT of views by allowed functions. What is
 * not known is refused: a kind of node, a function, a table.
 * @returns whether it reads any table.
 * @throws AppError 400 `QUERY_REFUSED`.
 */
export function checkTree(text: string, readable: Readable): boolean {
  const lines = parse(text);
  if (lines[0]?.kind !== 'SelectWithUnionQuery') throw refuse('only a SELECT is run.');
  if (lines.filter(({ depth }) => depth === 1).some(({ kind }) => kind !== 'ExpressionList')) {
    throw refuse('FORMAT, INTO OUTFILE and SETTINGS are not for analysts.');
  }
  for (const [i, line] of lines.entries()) {
    const { kind, name } = line;
    if (kind === 'TableIdentifier') checkTable(name, readable);
    else if (kind === 'Function') {
      if (tableOf(lines, i)) throw refuse(`table functions such as ${shown(name)}() are not for analysts.`);
      if (!functions.has(name.toLowerCase())) throw refuse(`the function ${shown(name)} is not among those allowed.`);
      if (tableAsSet.test(name))
        checkSet(argumentsOf(lines, i), { database: readable.database, views: readable.views });
      if (typed.test(name)) checkType(argumentsOf(lines, i));
    } else if (kind === 'Set') throw refuse('SETTINGS cannot be set.');
    else if (!plainKinds.has(kind)) throw refuse(`${shown(kind)} is not among what is allowed.`);
  }
  return lines.some(({ kind }) => kind === 'TableIdentifier');
}

/** Of what somebody wrote, enough to find it. */
const shown = (name: string): string => name.replace(/[^\w.]/g, '?').slice(0, 64);

function checkTable(name: string, { database, views, others }: Readable): void {
  const parts = name.split('.');
  const [first, second] = parts;
  if (parts.length === 1) {
    // A view, or a name that WITH gives: nothing else is in the current database.
    return;
  }
  if (parts.length === 2 && first === database && views.has(second!)) return;
  if (others?.has(name)) return;
  throw refuse(`${shown(name)} is not one of the views.`);
}

/** Whether a line stands where a table does: directly within a `TableExpression`. */
const tableOf = (lines: readonly Line[], at: number): boolean => parentOf(lines, at)?.kind === 'TableExpression';

function parentOf(lines: readonly Line[], at: number): Line | undefined {
  for (let i = at - 1; i >= 0; i--) if (lines[i]!.depth < lines[at]!.depth) return lines[i];
  return undefined;
}

/** The lines of what a function is given. */
function argumentsOf(lines: readonly Line[], at: number): Line[] {
  const { depth } = lines[at]!;
  const found: Line[] = [];
  // The list of arguments is one deeper; lists beyond the first, such as parameters and windows, are not arguments.
  for (let i = at + 2; i < lines.length && lines[i]!.depth > depth + 1; i++) {
    if (lines[i]!.depth === depth + 2) found.push(lines[i]!);
  }
  return found;
}

/** `x IN name` takes the name for a table: one with a dot must be a view. */
function checkSet(args: readonly Line[], readable: Readable): void {
  for (const { kind, name } of args.slice(1)) {
    if (kind === 'Identifier' || kind === 'TableIdentifier') checkTable(name, readable);
  }
}

/** A type is written out, not computed. */
function checkType(args: readonly Line[]): void {
  for (const { kind, name } of args.slice(1, 2)) {
    if (kind !== 'Literal' || name.split(/\W+/).some((word) => stateTypes.test(word))) {
      throw refuse('a type is written out, and one of those of columns.');
    }
  }
}
