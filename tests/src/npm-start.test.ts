import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { freePort, isRunning } from '@worktide/backends';
import { call, expectStatus, until } from '@worktide/testing';
import { notReady } from './support/http.ts';
import { makeAgentKey, ping, post, register } from './support/people.ts';
import { findProcess, processesOn, signal } from './support/processes.ts';
import { repository, standaloneMain, temporaryFolder } from './support/product.ts';

// Starting, being told to stop and being killed, as the shell, a supervisor or a container does it.

/** Each starts the product, one of them twice. */
const startsMs = 180_000;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder?.remove());

interface Run {
  child: ChildProcess;
  data: string;
  url: string;
  output: () => string;
  code: Promise<number | null>;
}
const runs: Run[] = [];
afterEach(async () => {
  for (const { child, data } of runs.splice(0)) {
    signal(-child.pid!, 'SIGKILL');
    for (const pid of await processesOn(data)) signal(pid, 'SIGKILL');
  }
});

/** A command that starts the product, in a process group of its own, as a terminal would. */
async function run(command: string, args: string[], env: Record<string, string> = {}, data = 'data'): Promise<Run> {
  const port = env.WORKTIDE_PORT ?? String(await freePort());
  const dataFolder = path.join(folder.dir, data);
  const child = spawn(command, args, {
    cwd: repository,
    env: { ...process.env, NODE_ENV: 'production', WORKTIDE_PORT: port, WORKTIDE_DATA: dataFolder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream!.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  }
  const code = once(child, 'close').then(([exitCode]) => exitCode as number | null);
  const started = { child, data: dataFolder, url: `http://127.0.0.1:${port}`, output: () => output, code };
  runs.push(started);
  return started;
}

const ready = (started: Run): Promise<true> =>
  until('ready', () => started.output().includes('Worktide is ready'), { seconds: 60 }).catch((error: Error) => {
    throw new Error(`${error.message}:\n${started.output()}`);
  });

test(
  'SIGTERM to npm ends the product, in order',
  async () => {
    const npm = await run('npm', ['start']);
    await ready(npm);
    signal(npm.child.pid!, 'SIGTERM');
    expect(await npm.code).toBe(0);
    expect(npm.output()).toContain('Stopped.');
    expect(await processesOn(npm.data)).toEqual([]);
  },
  startsMs,
);

test(
  'a Ctrl-C, which reaches npm and the product and is passed on by npm once more, is one clean stop',
  async () => {
    const npm = await run('npm', ['start']);
    await ready(npm);
    signal(-npm.child.pid!, 'SIGINT');
    expect(await npm.code).toBe(0);
    expect(npm.output().match(/Stopping …/g)).toHaveLength(1);
    expect(npm.output().match(/Stopped\./g)).toHaveLength(1);
    expect(await processesOn(npm.data)).toEqual([]);
  },
  startsMs,
);

test(
  'SIGTERM to npm ends the backends too',
  async () => {
    const npm = await run('npm', ['run', 'backends', '--', 'redis'], { TEST_REDIS_URL: '' });
    await until('redis runs', () => npm.output().includes('All are running'), { seconds: 120 });
    const redis = await until('redis', () => findProcess('redis-server', new URL(urlIn(npm.output())).port));
    signal(npm.child.pid!, 'SIGTERM');
    expect(await npm.code).toBe(0);
    expect(isRunning(redis)).toBe(false);
  },
  startsMs,
);
const urlIn = (output: string): string => /TEST_REDIS_URL='([^']+)'/.exec(output)![1]!;

test.each(['Starting PostgreSQL', 'Preparing tables'])(
  'a signal at "%s" stops the start',
  async (step) => {
    const first = await run(process.execPath, [standaloneMain], {}, 'interrupted');
    await until(step, () => first.output().includes(step), { everyMs: 5 });
    signal(first.child.pid!, 'SIGTERM');
    expect(await first.code).toBe(0);
    expect(first.output()).toContain('Stopped.');
    expect(first.output()).not.toMatch(/ready|could not start|!/);
    expect(await processesOn(first.data)).toEqual([]);
  },
  startsMs,
);

test(
  'a start that was interrupted leaves nothing that stops the next one',
  async () => {
    const second = await run(process.execPath, [standaloneMain], {}, 'interrupted');
    await ready(second);
    signal(second.child.pid!, 'SIGTERM');
    expect(await second.code).toBe(0);
  },
  startsMs,
);

test(
  'a killed run that nobody asks after does not keep the folder',
  async () => {
    // What starts it becomes a `sleep`, which waits for no child: the killed run stays a zombie.
    const script = `"${process.execPath}" "${standaloneMain}" & echo "pid $!"; exec sleep 600`;
    const first = await run('/bin/sh', ['-c', script], {}, 'zombie');
    await ready(first);
    const pid = Number(/^pid (\d+)$/m.exec(first.output())![1]);
    signal(pid, 'SIGKILL');
    // At once, on the same port: the killed one may still be giving back its memory.
    const second = await run(
      process.execPath,
      [standaloneMain],
      { WORKTIDE_PORT: new URL(first.url).port, METRICS_PORT: String(await freePort()) },
      'zombie',
    );
    await ready(second);
    // It is one indeed.
    expect(process.kill(pid, 0)).toBe(true);
    expect(isRunning(pid)).toBe(false);
    await until('all is ready', async () => (await notReady(second.url))?.length === 0);
    // With the internal routes on a port of their own the services find each other there, and strangers nothing.
    const ada = await register(second.url);
    await post(second.url, (await makeAgentKey(second.url, ada)).key, ping('Firefox'));
    expectStatus(await call(second.url, 'get', '/metrics'), 404);
    signal(second.child.pid!, 'SIGTERM');
    expect(await second.code).toBe(0);
  },
  startsMs,
);
