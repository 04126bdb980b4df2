import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';

/** A node of swc's tree, as far as it is looked at here. */
export interface Node {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: a tree of a hundred kinds of nodes; each is asked for its own fields.
  [field: string]: any;
}

export interface SourceFile {
  /** From the repository's root on. */
  path: string;
  tree: Node;
}

export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What runs in production; of the tools what is part of the product. */
const places = ['libs/*/src/**/*.ts', 'services/*/src/**/*.ts', 'tools/{standalone,prepare}/src/**/*.ts'];
const notProduction = /\.test\.ts$|\.fixture\.ts$|\/testing\.ts$|\/contract\/|\/oracle\.ts$|^libs\/testing\//;

export async function readSources(): Promise<SourceFile[]> {
  const found: string[] = [];
  for await (const file of glob(places, { cwd: root })) if (!notProduction.test(file)) found.push(file);
  return found.sort().map((file) => ({ path: file, tree: parse(readFileSync(path.join(root, file), 'utf8')) }));
}

export const parse = (source: string): Node => parseSync(source, { syntax: 'typescript', target: 'es2024' }) as Node;

/** The package of a file, as people call it: `runtime`, `auth`. */
export const packageOf = (file: string): string => file.split('/')[1]!;

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** Visits every node, with those around it, the nearest last. */
export function walk(node: unknown, visit: (node: Node, around: readonly Node[]) => void, around: Node[] = []): void {
  if (Array.isArray(node)) {
    for (const one of node) walk(one, visit, around);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  if (isNode(node)) {
    visit(node, around);
    around.push(node);
  }
  for (const [field, value] of Object.entries(node)) if (field !== 'span') walk(value, visit, around);
  if (isNode(node)) around.pop();
}

const wrappers = new Set(['ParenthesisExpression', 'TsAsExpression', 'TsConstAssertion', 'TsSatisfiesExpression']);
wrappers.add('TsNonNullExpression');

/** An expression without what only the type checker sees. */
export const plain = (node: Node): Node => (wrappers.has(node.type) ? plain(node.expression) : node);

/** Function and name that a call is of: `createTurns`, or of a method its last part. */
export function calleeOf(call: Node): string | undefined {
  let callee: Node = plain(call.callee);
  if (callee.type === 'OptionalChainingExpression') callee = callee.base;
  if (callee.type === 'Identifier') return callee.value;
  return callee.type === 'MemberExpression' && callee.property.type === 'Identifier'
    ? callee.property.value
    : undefined;
}

export const argumentsOf = (call: Node): Node[] =>
  (call.arguments ?? []).map(({ expression }: { expression: Node }) => plain(expression));

/** The value of an object's property; undefined where it has none of its own. */
export function propertyOf(object: Node | undefined, name: string): Node | undefined {
  for (const property of object?.type === 'ObjectExpression' ? object.properties : []) {
    if (property.type === 'Identifier' && property.value === name) return property;
    if (property.type === 'KeyValueProperty' && keyOf(property) === name) return plain(property.value);
  }
  return undefined;
}

export const keyOf = (property: Node): string | undefined =>
  property.key?.type === 'Identifier' || property.key?.type === 'StringLiteral' ? property.key.value : undefined;

/** What a name stands for: the expression it was made from, or is by default. Element: of an array, the how many-th. */
interface Binding {
  from: Node;
  element?: number;
}

/** The name of a plain or defaulted parameter or variable. */
export const nameOf = (pattern: Node): string | undefined => {
  if (pattern.type === 'Parameter') return nameOf(pattern.pat);
  if (pattern.type === 'AssignmentPattern') return nameOf(pattern.left);
  return pattern.type === 'Identifier' ? pattern.value : undefined;
};

export const defaultOf = (pattern: Node): Node | undefined => {
  if (pattern.type === 'Parameter') return defaultOf(pattern.pat);
  return pattern.type === 'AssignmentPattern' ? plain(pattern.right) : undefined;
};

/** `undefined` where a pattern does not bind the name, `null` where it does to what cannot be known. */
function boundBy(pattern: Node, name: string, init: Node | undefined): Binding | null | undefined {
  if (pattern.type === 'Parameter') return boundBy(pattern.pat, name, init);
  if (pattern.type === 'AssignmentPattern') {
    return pattern.left.type === 'Identifier'
      ? boundBy(pattern.left, name, plain(pattern.right))
      : boundBy(pattern.left, name, undefined);
  }
  if (pattern.type === 'Identifier') return pattern.value === name ? (init ? { from: init } : null) : undefined;
  if (pattern.type === 'ArrayPattern') {
    const element = pattern.elements.findIndex((one: Node | null) => one && nameOf(one) === name);
    return element < 0 ? undefined : init ? { from: init, element } : null;
  }
  if (pattern.type !== 'ObjectPattern') return undefined;
  for (const property of pattern.properties) {
    if (property.type === 'AssignmentPatternProperty' && property.key.value === name) {
      return property.value ? { from: plain(property.value) } : null;
    }
    if (property.type === 'KeyValuePatternProperty') {
      const found = boundBy(property.value, name, undefined);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** What a name stands for where it is used: of the nearest that binds it. */
export function lookUp(name: string, around: readonly Node[]): Binding | null {
  for (const node of around.toReversed()) {
    for (const parameter of node.params ?? node.function?.params ?? []) {
      const found = boundBy(parameter, name, undefined);
      if (found !== undefined) return found;
    }
    const statements: unknown = node.type === 'Module' ? node.body : (node.stmts ?? []);
    for (const statement of Array.isArray(statements) ? statements : []) {
      const declaration = statement.type === 'ExportDeclaration' ? statement.declaration : statement;
      if (declaration.type !== 'VariableDeclaration') continue;
      for (const { id, init } of declaration.declarations) {
        const found = boundBy(id, name, init ? plain(init) : undefined);
        if (found !== undefined) return found;
      }
    }
  }
  return null;
}

/** All expressions that one may come to, as far as the file says: branches, defaults, tables. */
export function leaves(expression: Node, around: readonly Node[]): Node[] {
  const node = plain(expression);
  if (node.type === 'ConditionalExpression') {
    return [...leaves(node.consequent, around), ...leaves(node.alternate, around)];
  }
  if (node.type === 'BinaryExpression' && (node.operator === '??' || node.operator === '||')) {
    return [...leaves(node.left, around), ...leaves(node.right, around)];
  }
  if (node.type === 'Identifier') {
    const binding = lookUp(node.value, around);
    if (!binding) return [];
    const found = leaves(binding.from, around);
    const { element } = binding;
    if (element === undefined) return found;
    return found.flatMap((one) => {
      const member = one.type === 'ArrayExpression' ? one.elements[element] : undefined;
      return member ? leaves(member.expression, around) : [];
    });
  }
  if (node.type === 'MemberExpression') {
    const tables = leaves(node.object, around).filter(({ type }) => type === 'ObjectExpression');
    if (node.property.type === 'Computed') {
      return tables.flatMap((table) =>
        table.properties.flatMap((each: Node) => (each.type === 'KeyValueProperty' ? leaves(each.value, around) : [])),
      );
    }
    return tables.flatMap((table) => {
      const value = propertyOf(table, node.property.value);
      return value ? leaves(value, around) : [];
    });
  }
  return [node];
}

/** The text of a literal; what is only known at run time by its name, as `{maxBytes}`, or `…` where it has none. */
export function textOf(node: Node): string | undefined {
  if (node.type === 'StringLiteral') return node.value;
  if (node.type !== 'TemplateLiteral') return undefined;
  const named = (expression: Node | undefined): string => {
    if (!expression) return '';
    const name = expression.type === 'MemberExpression' ? expression.property.value : expression.value;
    return typeof name === 'string' && expression.type !== 'StringLiteral' ? `{${name}}` : '…';
  };
  return node.quasis
    .map(({ cooked, raw }: { cooked?: string; raw: string }, i: number) => (cooked ?? raw) + named(node.expressions[i]))
    .join('');
}

export const textsOf = (node: Node | undefined, around: readonly Node[]): string[] =>
  (node ? leaves(node, around) : []).flatMap((leaf) => textOf(leaf) ?? []);
