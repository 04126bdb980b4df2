import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { aptInstall, onPath, run } from '@worktide/backends';
import { parse } from 'yaml';
import { deployFolder } from './table.ts';

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
}

const folder = new URL('prometheus/', deployFolder);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const rules: Rule[] = parse(read('worktide.rules.yaml')).groups[0].rules;
const cases: { name: string }[] = parse(read('worktide.tests.yaml')).tests;

/** Of Prometheus itself, of Kubernetes and of Node's client library. */
const others = /^(up|kube_|process_|nodejs_)/;
const keywords = new Set(
  'sum max min avg count by and or unless rate increase delta histogram_quantile without on ignoring group_left clamp_min topk job le'.split(
    ' ',
  ),
);
/** Names of metrics in an expression: what is neither a function, nor a label, nor text. */
function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, '')
    .replaceAll(/\[[^\]]*\]/g, '');
  return [...bare.matchAll(/[a-z_][a-z0-9_]*/gi)].map(([name]) => name).filter((name) => !keywords.has(name));
}
/** Another test holds this page to the code. */
const known = new Set(
  [...readFileSync(new URL('../docs/reference.md', deployFolder), 'utf8').matchAll(/^\| `(worktide_\w+)` \|/gm)].map(
    ([, name]) => name!,
  ),
);
const isKnown = (name: string): boolean =>
  others.test(name) || known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, ''));

describe('alerts', () => {
  beforeAll(async () => {
    if (!(await onPath('promtool'))) await aptInstall(['prometheus'], 'Trying the alerts');
  }, 300_000);

  test('each fires where it should and is silent where it should not', async () => {
    const cwd = fileURLToPath(folder);
    await run('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', 'worktide.rules.yaml'], { cwd });
    await run('promtool', ['test', 'rules', 'worktide.tests.yaml'], { cwd });
    const named = cases.map(({ name }) => name).sort();
    expect(named).toEqual(rules.flatMap(({ alert }) => [`${alert} fires`, `${alert} is silent`]).sort());
  });

  test('each asks for metrics that there are, and has a runbook', () => {
    const book = readFileSync(new URL('../docs/operating.md', deployFolder), 'utf8');
    for (const { alert, expr, labels, annotations } of rules) {
      expect(metricsIn(expr).filter((name) => !isKnown(name))).toEqual([]);
      expect(['page', 'ticket']).toContain(labels.severity);
      expect(annotations.summary).not.toBe('');
      expect(annotations.runbook_url.split('#')[1]).toBe(alert.toLowerCase());
      expect(book).toContain(`\n### ${alert}\n`);
    }
  });
});

describe('dashboards', () => {
  const boards = readdirSync(new URL('grafana/operators/', deployFolder)).filter((name) => name.endsWith('.json'));
  const texts = boards.map((name) => readFileSync(new URL(`grafana/operators/${name}`, deployFolder), 'utf8'));
  const parsed = texts.map((text) => JSON.parse(text));

  test('can be provisioned: names of their own, a variable for the source, nothing of an export', () => {
    expect(boards.length).toBeGreaterThan(5);
    for (const key of ['uid', 'title']) expect(new Set(parsed.map((board) => board[key])).size).toBe(boards.length);
    for (const [i, board] of parsed.entries()) {
      expect(texts[i]).not.toMatch(/__inputs|\$\{DS_/);
      expect(texts[i]!.length).toBeLessThan(1_000_000);
      expect(
        board.templating.list.map(({ name, type }: { name: string; type: string }) => `${name} ${type}`),
      ).toContain('source datasource');
      const ids = board.panels.map(({ id }: { id: number }) => id);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });

  test('each panel asks the source of the variable, for metrics that there are', () => {
    for (const board of parsed) {
      for (const panel of board.panels) {
        if (panel.type === 'row') continue;
        expect(panel.datasource.uid).toMatch(/^\$\{source\}$/);
        expect(panel.targets.length).toBeGreaterThan(0);
        for (const { expr } of panel.targets) expect(metricsIn(expr).filter((name) => !isKnown(name))).toEqual([]);
      }
    }
  });
});
