import { fileURLToPath } from 'node:url';
import { answers, type Engine, startEngine } from '../engine.ts';
import { freePort } from '../ports.ts';

export interface ClickHouseOptions {
  /** Data and log of this server; an existing one is continued. */
  dir: string;
  port?: number;
  /** Of the user `default`; none unless said. */
  password?: string;
  onUnexpectedEnd?: (how: string) => void;
  /** Ends the start. */
  signal?: AbortSignal;
}

/**
 * The ClickHouse engine behind the HTTP server that `npm start` runs too: no server binary comes from a package
 * registry. `url` has the user and the database in it.
 */
export async function startClickHouse(options: ClickHouseOptions): Promise<Engine> {
  const { dir, password = '' } = options;
  const port = options.port ?? (await freePort());
  const main = fileURLToPath(new URL('../../../standalone/src/clickhouse-server/main.ts', import.meta.url));
  return startEngine({
    name: 'clickhouse',
    url: `http://default:${encodeURIComponent(password)}@127.0.0.1:${port}/default`,
    command: process.execPath,
    args: [main, '--data', `${dir}/data`, '--port', String(port)],
    // Statements block threads of libuv's pool; its size has to be known before the process starts.
    env: { CLICKHOUSE_PASSWORD: password, UV_THREADPOOL_SIZE: '16' },
    dir,
    onUnexpectedEnd: options.onUnexpectedEnd,
    signal: options.signal,
    ready: () => answers(`http://127.0.0.1:${port}/ping`),
  });
}
