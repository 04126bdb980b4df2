import { fstatSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startClickHouseServer } from './server.ts';

// Statements block threads of libuv's pool, whose size is read once, before any code of ours runs: start over in place.
if (!process.env.UV_THREADPOOL_SIZE) {
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    UV_THREADPOOL_SIZE: '16',
  });
}

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    port: { type: 'string', default: '0' },
    'memory-mb': { type: 'string', default: '1536' },
  },
});
if (!values.data) {
  process.stderr.write('Usage: main.ts --data DIR [--port N] [--memory-mb N]   (password: CLICKHOUSE_PASSWORD)\n');
  process.exit(64);
}

try {
  const server = await startClickHouseServer({
    dataDir: values.data,
    port: Number(values.port),
    password: process.env.CLICKHOUSE_PASSWORD ?? '',
    maxServerMemory: Number(values['memory-mb']) * 1024 * 1024,
  });
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    // The engine's own teardown may hang on a statement that cannot be cancelled; data is safe either way.
    setTimeout(() => process.exit(1), 15_000).unref();
    server.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  // A pipe on stdin is the parent's hand: when it lets go, however it died, nobody needs this process any more.
  const stdin = fstatSync(0);
  if (stdin.isFIFO() || stdin.isSocket()) process.stdin.on('end', end).on('error', end).resume();
  process.stdout.write(`${JSON.stringify({ listening: server.url })}\n`);
} catch (error) {
  process.stderr.write(
    `ClickHouse server could not start: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exit(1);
}
