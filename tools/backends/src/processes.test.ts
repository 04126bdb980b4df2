import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import { serverUser } from './engines/postgres-user.ts';
import { startPostgres } from './index.ts';
import { isRunning, isZombie, startOf } from './processes.ts';

const parents: ChildProcess[] = [];
afterEach(() => {
  for (const parent of parents.splice(0)) parent.kill('SIGKILL');
});

/** A process that has ended and that its parent, a `sleep` by now, never asks after. */
async function zombie(user: { uid: number; gid: number } | undefined = undefined): Promise<number> {
  const parent = spawn('/bin/sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: '/',
    ...user,
  });
  parents.push(parent);
  const [line] = await once(parent.stdout, 'data');
  const pid = Number(line.toString());
  await until('it has ended', () => isZombie(pid));
  return pid;
}

test('a process lives until it has ended, whether or not anybody has asked after it', async () => {
  expect(isRunning(process.pid)).toBe(true);
  expect(isZombie(process.pid)).toBe(false);
  expect(startOf(process.pid)).toMatch(/^\d+$/);
  const pid = await zombie();
  // It is there, as far as signals go.
  expect(process.kill(pid, 0)).toBe(true);
  expect(isRunning(pid)).toBe(false);
  expect(startOf(pid)).toBeUndefined();
  expect(isRunning(4_194_305)).toBe(false);
});

test('PostgreSQL starts again where its last server is a zombie', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'worktide-zombie-'));
  const options = { dir: path.join(dir, 'postgres') };
  try {
    await (await startPostgres(options)).kill9();
    // Of the server's own user: that of another's it would take for a chance.
    const file = path.join(dir, 'postgres', 'data', 'postmaster.pid');
    const [, ...rest] = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, [await zombie(await serverUser()), ...rest].join('\n'));
    const again = await startPostgres(options);
    expect(isRunning(again.pid)).toBe(true);
    await again.stop();
  } finally {
    const linked = await readlink(path.join(dir, 'postgres', 'data')).catch(() => undefined);
    if (linked) await rm(path.dirname(linked), { recursive: true });
    await rm(dir, { recursive: true, force: true });
  }
});
