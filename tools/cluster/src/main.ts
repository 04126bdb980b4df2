import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { createLogger, runProcess } from '@worktide/runtime';
import { startCluster } from './start.ts';

// Files of the engines and services, which inherit this, are their owner's alone.
process.umask(0o077);

const usage = `npm run cluster -- [--gateways 1] [--writers 1] [--analytics 1] [--realtimes 2] [--brokers 1] [--port 8080] [--data folder]
Starts the real engines and every service as a process of its own; without --data the data goes when it ends.`;

const count = (text: string | undefined, fallback: number): number => {
  const n = text === undefined ? fallback : Number(text);
  if (Number.isInteger(n) && n >= 0 && n <= 65_535) return n;
  throw new Error(`${text} is not a count`);
};

function options() {
  const { values } = parseArgs({
    options: {
      gateways: { type: 'string' },
      writers: { type: 'string' },
      analytics: { type: 'string' },
      realtimes: { type: 'string' },
      brokers: { type: 'string' },
      port: { type: 'string' },
      data: { type: 'string' },
    },
  });
  return {
    gateways: count(values.gateways, 1),
    writers: count(values.writers, 1),
    analytics: count(values.analytics, 1),
    realtimes: count(values.realtimes, 2),
    brokers: Math.max(1, count(values.brokers, 1)),
    port: count(values.port, 8080),
    data: values.data,
  };
}

let given: ReturnType<typeof options>;
try {
  given = options();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${usage}\n`);
  process.exit(2);
}

const log = createLogger({ service: 'cluster', level: 'warn' });
await runProcess(
  log,
  async (lifecycle) => {
    const temporary = given.data === undefined;
    const dir = given.data ? path.resolve(given.data) : await mkdtemp(path.join(tmpdir(), 'worktide-cluster-'));
    if (temporary) lifecycle.onClose('data', () => rm(dir, { recursive: true, force: true }));
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    const cluster = await startCluster({ ...given, dir, onStep: say }, { lifecycle, log });
    say(`\nThe cluster is ready at ${cluster.url} (data and logs: ${dir})`);
    for (const [name, service] of cluster.services) {
      say(`  ${name.padEnd(20)} ${service.baseUrl}  pid ${service.pid}  metrics ${service.internalUrl}/metrics`);
    }
    for (const [name, engine] of cluster.allEngines) say(`  ${name.padEnd(20)} pid ${engine.pid}`);
    say(`\nnpm run fleet -- --url ${cluster.url} --agents 200 --seconds 30\nCtrl-C stops everything.`);
  },
  { deadlineMs: 40_000 },
);
