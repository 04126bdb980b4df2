import {
  argumentsOf,
  calleeOf,
  defaultOf,
  keyOf,
  leaves,
  lookUp,
  type Node,
  nameOf,
  packageOf,
  propertyOf,
  type SourceFile,
  textOf,
  textsOf,
  walk,
} from './tree.ts';

export interface CodeEntry {
  code: string;
  /** Of the answers that carry it; none for those of single items, and where only the run time knows. */
  statuses: number[];
  texts: string[];
  packages: string[];
}

const isCode = (text: string): boolean => /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(text) && text.length > 1;

/** A function that is given a code, and mostly its text: `invalid(code, message)`. */
interface Helper {
  code: number;
  message: number;
  codeDefault: string | undefined;
  messageDefault: string | undefined;
  /** Whether it makes an error; else what stands beside an item. */
  isError: boolean;
  status: number | undefined;
}

/** Where an object with a `code` says how it is answered: what refuses, by whom it is made. */
const refusing: Record<string, { status: number; as: string }> = {
  createTurns: { status: 503, as: 'BUSY' },
  createPeopleTurns: { status: 503, as: 'BUSY' },
  createBudget: { status: 503, as: 'BUSY' },
  bucket: { status: 429, as: 'RATE_LIMITED' },
  window: { status: 429, as: 'RATE_LIMITED' },
  addressWindow: { status: 429, as: 'RATE_LIMITED' },
  limitExceeded: { status: 429, as: 'RATE_LIMITED' },
};
/** Calls whose `code` is a label. */
const counting = new Set(['inc', 'labels', 'set', 'observe']);

const isAppError = (node: Node): boolean => node.type === 'NewExpression' && node.callee.value === 'AppError';
const isFunction = ({ type }: Node): boolean => /^(ArrowFunction|Function)Expression$|^FunctionDeclaration$/.test(type);

/**
 * Every code that production code gives, with status and texts: of errors (`new AppError`, and the helpers that make
 * one), and of single items (`{ code, message }`). @throws Error at an error whose code cannot be read.
 */
export function codesIn(files: readonly SourceFile[]): { errors: CodeEntry[]; items: CodeEntry[] } {
  const shared = new Map(
    files.flatMap((file) =>
      [...helpersIn(file)].filter(([, { isExported }]) => isExported).map(([n, { helper }]) => [n, helper]),
    ),
  );
  const errors = new Map<string, CodeEntry>();
  const items = new Map<string, CodeEntry>();
  const copied: { entry: CodeEntry; as: string }[] = [];

  function add(
    table: Map<string, CodeEntry>,
    code: string,
    status: number | undefined,
    texts: readonly string[],
    path: string,
  ): CodeEntry {
    const entry = table.get(code) ?? { code, statuses: [], texts: [], packages: [] };
    table.set(code, entry);
    const put = <T>(list: T[], value: T): void => void (list.includes(value) || list.push(value));
    if (status !== undefined) put(entry.statuses, status);
    for (const text of texts) put(entry.texts, text.replaceAll(/\s+/g, ' ').trim());
    put(entry.packages, packageOf(path));
    return entry;
  }

  for (const file of files) {
    const { path, tree } = file;
    const own = new Map([...helpersIn(file)].map(([name, { helper }]) => [name, helper]));
    walk(tree, (node, around) => {
      if (isAppError(node)) {
        const read = readError(node, around);
        if (read.length === 0 && !around.some((each) => isFunction(each) && takesCode(each))) {
          throw new Error(`${path}: the code of an AppError cannot be read`);
        }
        for (const { code, text, status } of read) add(errors, code, status, text === undefined ? [] : [text], path);
      } else if (node.type === 'CallExpression') {
        const name = node.callee.type === 'Identifier' ? node.callee.value : '';
        const helper = own.get(name) ?? shared.get(name);
        if (!helper) return;
        const given = argumentsOf(node);
        const codes = given[helper.code] ? textsOf(given[helper.code], around) : [helper.codeDefault ?? ''];
        const texts = given[helper.message] ? textsOf(given[helper.message], around) : [helper.messageDefault ?? ''];
        const table = helper.isError ? errors : items;
        for (const code of codes.filter(isCode)) add(table, code, helper.status, texts.filter(Boolean), path);
      } else if (node.type === 'ObjectExpression') {
        const given = propertyOf(node, 'code');
        const call = around.findLast(({ type }) => type === 'CallExpression' || type === 'NewExpression');
        const isArgument = call !== undefined && argumentsOf(call).includes(node);
        const callee = isArgument ? calleeOf(call) : undefined;
        if (!given || (callee !== undefined && counting.has(callee))) return;
        const refusal = callee === undefined ? undefined : refusing[callee];
        const texts = textsOf(propertyOf(node, 'message'), around);
        // Where neither is said it is a condition, or somebody else's error.
        if (!refusal && propertyOf(node, 'message') === undefined) return;
        for (const code of textsOf(given, around).filter(isCode)) {
          const entry = add(refusal ? errors : items, code, refusal?.status, texts, path);
          if (refusal && texts.length === 0) copied.push({ entry, as: refusal.as });
        }
      }
    });
  }
  for (const { entry, as } of copied) {
    for (const text of errors.get(as)?.texts ?? []) if (!entry.texts.includes(text)) entry.texts.push(text);
  }
  const sorted = (table: Map<string, CodeEntry>): CodeEntry[] =>
    [...table.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
  return { errors: sorted(errors), items: sorted(items) };
}

const takesCode = (fn: Node): boolean => (fn.params ?? []).some((each: Node) => nameOf(each) === 'code');

/** Functions of a file that take a `code` among their arguments. */
function helpersIn({ tree }: SourceFile): Map<string, { helper: Helper; isExported: boolean }> {
  const found = new Map<string, { helper: Helper; isExported: boolean }>();
  walk(tree, (node, around) => {
    const fn = node.type === 'VariableDeclarator' ? node.init : node;
    const name = node.type === 'VariableDeclarator' ? node.id.value : node.identifier?.value;
    if (!fn || !isFunction(fn) || name === undefined || !takesCode(fn)) return;
    const at = (parameter: string): number => fn.params.findIndex((each: Node) => nameOf(each) === parameter);
    const byDefault = (parameter: string): string | undefined => {
      const value = at(parameter) < 0 ? undefined : defaultOf(fn.params[at(parameter)]);
      return value && textOf(value);
    };
    let isError = false;
    let status: number | undefined;
    walk(fn.body, (inner) => {
      if (!isAppError(inner)) return;
      isError = true;
      status ??= statusOf(inner);
    });
    const helper = {
      code: at('code'),
      message: at('message'),
      codeDefault: byDefault('code'),
      messageDefault: byDefault('message'),
      isError,
      status,
    };
    found.set(name, { helper, isExported: around.some(({ type }) => type === 'ExportDeclaration') });
  });
  return found;
}

/** 500 unless it says another; undefined where that is only known at run time. */
function statusOf(error: Node): number | undefined {
  const [, , options] = argumentsOf(error);
  const status = propertyOf(options, 'statusCode');
  if (!status) return 500;
  return status.type === 'NumericLiteral' ? status.value : undefined;
}

function readError(
  error: Node,
  around: readonly Node[],
): { code: string; text?: string; status: number | undefined }[] {
  const [code, message] = argumentsOf(error);
  const status = statusOf(error);
  if (!code || !message) return [];
  const pairs =
    tableOf(code, message, around) ??
    textsOf(code, around).flatMap((one) => {
      const texts = textsOf(message, around);
      return texts.length === 0 ? [[one]] : texts.map((text) => [one, text]);
    });
  return pairs
    .filter(([one]) => isCode(one!))
    .map(([one, text]) => ({ code: one!, status, ...(text === undefined ? {} : { text }) }));
}

/** Codes and texts that stand beside each other in a table: `texts[code]`, or `[code, message] = table[…]`. */
function tableOf(code: Node, message: Node, around: readonly Node[]): string[][] | undefined {
  if (code.type !== 'Identifier') return undefined;
  if (message.type === 'MemberExpression' && message.property.expression?.value === code.value) {
    const [table] = leaves(message.object, around);
    return table?.properties.map((each: Node) => [keyOf(each), ...textsOf(each.value, around)]);
  }
  const [one, other] = [lookUp(code.value, around), message.type === 'Identifier' && lookUp(message.value, around)];
  if (!one || !other || one.from !== other.from || one.element === undefined || other.element === undefined)
    return undefined;
  return leaves(one.from, around).map((row) =>
    [row.elements[one.element!], row.elements[other.element!]].flatMap(({ expression }) => textOf(expression) ?? []),
  );
}
