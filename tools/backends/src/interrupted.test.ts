import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { isRunning } from './processes.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-interrupted-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A process that owns an engine (a `sleep`) and says its id; the engine itself ignores everything but SIGKILL. */
async function owner(): Promise<{ owner: ReturnType<typeof spawn>; engine: number }> {
  const engineModule = JSON.stringify(fileURLToPath(new URL('./engine.ts', import.meta.url)));
  const program = `
    import { startEngine } from ${engineModule};
    const engine = await startEngine({
      name: 'sleeper', url: '', command: '/bin/sh', dir: ${JSON.stringify(dir)},
      args: ['-c', 'trap "" INT TERM HUP; while :; do sleep 0.2; done'], ready: () => true,
    });
    process.stdout.write(String(engine.pid) + '\\n');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const engine = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())));
    child.once('exit', () => reject(new Error('the owner ended')));
  });
  return { owner: child, engine };
}

test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)('an engine ends with its owner, killed by %s', async (signal) => {
  const { owner: child, engine } = await owner();
  expect(isRunning(engine)).toBe(true);
  child.kill(signal);
  await until('the engine has ended', () => !isRunning(engine));
});
