import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { notReady } from './support/http.ts';
import { appsReport, makeAgentKey, ping, post, register, usageOf, yesterdayNoon } from './support/people.ts';
import { findProcess, processesOn, signal } from './support/processes.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

// What was acknowledged is there, and nothing else: after every way in which the product or a part of it can end.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let bearer: string;
let key: string;
let turn = 0;
const expected: Record<string, number> = {};

/** Posts a ping of an app of its own. */
async function acknowledge(): Promise<void> {
  const app = `App ${++turn}`;
  await post(product.url, key, ping(app, { at: yesterdayNoon() + turn * 600_000, seconds: 60 * turn }));
  expected[app] = 60 * turn;
}

/** Every acknowledged ping is in usage and in the report, and nothing else. */
async function expectAll(): Promise<void> {
  const sorted = (report: Record<string, number>): string => JSON.stringify(Object.entries(report).sort());
  await until(
    'usage and report have everything acknowledged',
    async () => {
      const usage = await usageOf(product.url, bearer);
      const report = await appsReport(product.url, bearer);
      const seen = Object.fromEntries(usage.map(({ app, seconds }) => [app, seconds]));
      if (sorted(report) === sorted(expected) && sorted(seen) === sorted(expected)) return true;
      throw new Error(`usage ${sorted(seen)}, report ${sorted(report)}, must be ${sorted(expected)}`);
    },
    { seconds: 60, everyMs: 250 },
  );
}

const engine = (name: 'postgres' | 'clickhouse'): Promise<number> =>
  until(`${name} runs`, () => findProcess(`${product.data}/${name}/data`));

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
  const grace = await register(product.url, 'grace');
  bearer = grace.accessToken;
  ({ key } = await makeAgentKey(product.url, grace));
  await acknowledge();
  await expectAll();
}, 120_000);

afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

test.each(['postgres', 'clickhouse'] as const)('all is there after %s was killed, by itself', async (name) => {
  const before = await engine(name);
  signal(before, 'SIGKILL');
  // Ingest never touches a database, so it goes on at once.
  await acknowledge();
  expect(await until(`${name} is another process`, async () => (await engine(name)) !== before)).toBe(true);
  await until('all is ready again', async () => (await notReady(product.url))?.length === 0);
  await expectAll();
  const printed = await product.printed();
  expect(printed).toMatch(new RegExp(`! ${name} ended \\(exit SIGKILL\\); starting it again`));
  expect(product.ending()).toBeUndefined();
});

test('all is there after a second start, and one clean stop answers two Ctrl-C', async () => {
  await acknowledge();
  const { pid } = product.process;
  signal(pid, 'SIGINT');
  signal(pid, 'SIGINT');
  expect(await until('the end', () => product.ending())).toBe('exit 0');
  const printed = await product.printed();
  expect(printed.match(/Stopping …/g)).toHaveLength(1);
  expect(printed.match(/Stopped\./g)).toHaveLength(1);
  expect(await processesOn(product.data)).toEqual([]);
  await product.process.restart();
  await expectAll();
});

test('all is there after kill -9 of the whole, and no child stays behind', async () => {
  await acknowledge();
  await product.process.kill9();
  await until('the children have ended', async () => (await processesOn(product.data)).length === 0);
  await product.process.restart();
  await acknowledge();
  await expectAll();
});

test('all is there after kill -9 of the whole and of what guards its children', async () => {
  await acknowledge();
  const engines = [await engine('postgres'), await engine('clickhouse')];
  for (const pid of engines) {
    const guard = await findProcess('guard', `guard ${pid}`);
    if (guard !== undefined) signal(guard, 'SIGKILL');
  }
  await product.process.kill9();
  // The engines are left over now; the next start ends them first.
  expect((await processesOn(product.data)).length).toBeGreaterThan(0);
  await product.process.restart();
  expect(engines).not.toContain(await engine('postgres'));
  expect(engines).not.toContain(await engine('clickhouse'));
  await expectAll();
});

test('all is there after an engine that crashes over and over has ended the whole, with a sentence', async () => {
  await acknowledge();
  // A crash of an engine that is just starting would end the whole at once, with a sentence of its own.
  const returns = async () =>
    (await readFile(`${product.data}/worktide.log`, 'utf8')).split('clickhouse is back').length;
  for (let crash = 0; crash < 4; crash++) {
    const before = await returns();
    signal(await engine('clickhouse'), 'SIGKILL');
    await until('it is back, or the end', async () => product.ending() ?? (await returns()) > before);
  }
  expect(await until('the end', () => product.ending())).toBe('exit 1');
  expect(await product.printed()).toMatch(
    /! stopping: clickhouse ended 4 times \(exit SIGKILL\); see \S+clickhouse\.log/,
  );
  expect(await processesOn(product.data)).toEqual([]);
  await product.process.restart();
  await expectAll();
});
