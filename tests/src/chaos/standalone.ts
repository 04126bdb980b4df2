import { type Lifecycle, sleep } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { notReady } from '../support/http.ts';
import { findProcess, signal, suspended } from '../support/processes.ts';
import { postgresUrlOf, startProduct } from '../support/product.ts';
import { replayAll } from '../support/replay.ts';
import { usageRows } from '../support/rows.ts';
import type { Target, Trouble } from './target.ts';

/** The product ends itself when an engine crashes more than three times within five minutes, as it should. */
const killsOfEngine = 3;
const engines = ['postgres', 'clickhouse'] as const;

/** `npm start` on embedded engines. */
export async function standaloneTarget(dir: string, lifecycle: Lifecycle): Promise<Target> {
  const product = await startProduct(dir);
  lifecycle.onClose('standalone', () => product.process.stop());
  let kills = new Map<string, number>();

  const engine = (name: string): Promise<number> =>
    until(`${name} runs`, () => findProcess(`${product.data}/${name}/data`), { seconds: 60 });
  const ready = async (): Promise<void> => {
    await until('the product is ready', async () => (await notReady(product.url))?.length === 0, { seconds: 120 });
  };

  async function killWhole(): Promise<void> {
    await product.process.kill9();
    await product.process.restart();
    kills = new Map();
  }

  const killEngine = (name: string): Trouble => ({
    name: `kill -9 ${name}`,
    async happen() {
      const count = (kills.get(name) ?? 0) + 1;
      if (count > killsOfEngine) return killWhole();
      kills.set(name, count);
      const pid = await engine(name);
      signal(pid, 'SIGKILL');
      await until(`${name} is another process`, async () => (await engine(name)) !== pid, { seconds: 60 });
    },
  });

  return {
    name: 'standalone',
    url: product.url,
    kills: [
      { name: 'kill -9 of the whole', happen: killWhole },
      {
        name: 'Ctrl-C and a new start',
        async happen() {
          await product.process.restart();
          kills = new Map();
        },
      },
      ...engines.map(killEngine),
    ],
    outage: (ms) =>
      engines.map((name) => ({
        name: `${name} hangs for ${ms / 1000} s`,
        happen: async () => suspended(await engine(name), () => sleep(ms)),
      })),
    ready,
    async replay() {
      await product.process.stop();
      const readAgain = await replayAll(`lmdb:${product.data}/log`);
      await product.process.restart();
      kills = new Map();
      await readAgain(() => [product.url]);
    },
    rows: async () => usageRows(await postgresUrlOf(product)),
  };
}
