import { argumentsOf, calleeOf, keyOf, leaves, type Node, packageOf, type SourceFile, textsOf, walk } from './tree.ts';

export interface MetricEntry {
  name: string;
  kind: string;
  labels: string[];
  help: string;
  packages: string[];
}

const kinds: Record<string, string> = {
  counter: 'counter',
  gauge: 'gauge',
  histogram: 'histogram',
  observed: 'gauge',
};
/** Where labels stand among the arguments. */
const labelsAt: Record<string, number> = { counter: 2, gauge: 2, histogram: 3, observed: 3 };

/** Every metric that production code makes, by name. @throws Error where one cannot be read, or two differ. */
export function metricsIn(files: readonly SourceFile[]): MetricEntry[] {
  const found = new Map<string, MetricEntry>();
  for (const { path, tree } of files) {
    // The registry itself.
    if (path === 'libs/runtime/src/metrics.ts') continue;
    walk(tree, (node, around) => {
      const method = node.type === 'CallExpression' ? calleeOf(node) : undefined;
      if (method === undefined || !Object.hasOwn(kinds, method)) return;
      const entry = entryOf(node, method, around, path);
      const before = found.get(entry.name);
      if (before && `${before.kind} ${before.labels}` !== `${entry.kind} ${entry.labels}`) {
        throw new Error(`${path}: ${entry.name} is another metric elsewhere`);
      }
      const packages = new Set([...(before?.packages ?? []), packageOf(path)]);
      found.set(entry.name, { ...entry, help: before?.help ?? entry.help, packages: [...packages] });
    });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function entryOf(call: Node, method: string, around: readonly Node[], path: string): MetricEntry {
  const given = argumentsOf(call);
  const [name, ...more] = given[0] ? textsOf(given[0], around) : [];
  if (name === undefined || more.length > 0) throw new Error(`${path}: the name of a ${method} is no literal`);
  const [help = ''] = given[1] ? textsOf(given[1], around) : [];
  const labels = given[labelsAt[method]!];
  return {
    name,
    kind: kinds[method]!,
    labels: labels ? labelsOf(labels, around, `${path}: ${name}`) : [],
    help,
    packages: [],
  };
}

function labelsOf(labels: Node, around: readonly Node[], what: string): string[] {
  const [list] = leaves(labels, around);
  if (list?.type === 'ArrayExpression') {
    return list.elements.map(({ expression }: { expression: Node }) => textsOf(expression, around)[0]!);
  }
  if (list?.type === 'ObjectExpression') return list.properties.map((each: Node) => keyOf(each) ?? each.value);
  throw new Error(`${what}: its labels are no literal`);
}
