import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Engine, freePort, startEngine } from '@worktide/backends';
import { metricsToken } from './http.ts';

export const repository = fileURLToPath(new URL('../../..', import.meta.url));
/** What `npm start` runs. */
export const standaloneMain = path.join(repository, 'tools/standalone/src/main.ts');

/** A temporary folder through which PostgreSQL's own user may pass. */
export async function temporaryFolder(): Promise<{ dir: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(path.join(tmpdir(), 'worktide-e2e-'));
  await chmod(dir, 0o711);
  return { dir, remove: () => rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }) };
}

/** The whole product as a process of its own, as `npm start` runs it. */
export interface Product {
  url: string;
  data: string;
  /** The process; `kill9` and `restart` are of the whole. */
  process: Engine;
  /** What it has printed, all starts together. */
  printed(): Promise<string>;
  /** How the present process ended without having been asked to by way of `process`, e.g. `exit 0`. */
  ending(): string | undefined;
}

/** @param dir holds the data folder and what is printed; continued where it exists. */
export async function startProduct(dir: string, env: Record<string, string> = {}): Promise<Product> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const data = path.join(dir, 'data');
  let ended: { pid: number; how: string } | undefined;
  const engine: Engine = await startEngine({
    name: 'npm-start',
    url,
    command: process.execPath,
    args: [standaloneMain],
    env: {
      NODE_ENV: 'production',
      WORKTIDE_PORT: String(port),
      WORKTIDE_DATA: data,
      // Several at once, and perhaps beside somebody's own.
      WORKTIDE_CLICKHOUSE_PORT: '0',
      METRICS_TOKEN: metricsToken,
      // What the fleet knows of alerts is to be seen before its patience ends.
      ALERTS_EVERY_SECONDS: '1',
      ...env,
    },
    dir,
    stopSignal: 'SIGINT',
    ready: (printed) => printed.includes('Worktide is ready'),
    onUnexpectedEnd: (how) => {
      ended = { pid: engine.pid, how };
    },
  });
  return {
    url,
    data,
    process: engine,
    printed: () => readFile(engine.logFile, 'utf8'),
    ending: () => (ended?.pid === engine.pid ? ended.how : undefined),
  };
}

/** The administrator's URL of the product's PostgreSQL, whose port differs from start to start. */
export async function postgresUrlOf(product: Product): Promise<string> {
  const secrets = JSON.parse(await readFile(path.join(product.data, 'secrets.json'), 'utf8'));
  // The fourth line of postmaster.pid is the port (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PORT).
  const lines = (await readFile(path.join(product.data, 'postgres/data/postmaster.pid'), 'utf8')).split('\n');
  return `postgres://postgres:${secrets.postgresPassword}@127.0.0.1:${lines[3]}/postgres`;
}
