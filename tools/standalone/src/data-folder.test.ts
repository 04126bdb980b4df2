import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { startOf } from '@worktide/backends';
import { createLifecycle, type Lifecycle, silentLogger } from '@worktide/runtime';
import { openDataFolder, untilReleased } from './data-folder.ts';

let folder: string;
let lifecycle: Lifecycle;
let owner: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'worktide-data-'));
  lifecycle = createLifecycle({ log: silentLogger() });
});
afterEach(async () => {
  owner?.kill('SIGKILL');
  await lifecycle.close();
  await rm(folder, { recursive: true, force: true });
});

/** Another process that has the folder. */
async function taken(): Promise<ChildProcess & { pid: number }> {
  const child = spawn('/bin/sleep', ['600']);
  owner = child;
  await once(child, 'spawn');
  await writeFile(path.join(folder, 'owner'), `${child.pid} ${startOf(child.pid!)}`);
  return child as ChildProcess & { pid: number };
}

test('a folder is of one process, until its lifecycle ends', async () => {
  const first = createLifecycle({ log: silentLogger() });
  const { secrets } = await openDataFolder(folder, first);
  await expect(untilReleased(folder, { patienceMs: 0 })).rejects.toMatchObject({
    code: 'DATA_IN_USE',
    message: `The data folder ${folder} is in use by process ${process.pid}.`,
  });
  await first.close();
  expect((await openDataFolder(folder, lifecycle)).secrets).toEqual(secrets);
});

test('an owner that ends while we wait gives it up, without having removed its mark', async () => {
  const other = await taken();
  const opening = openDataFolder(folder, lifecycle);
  other.kill('SIGKILL');
  expect((await opening).path).toBe(folder);
});

test('an owner whose id another process has by now is gone', async () => {
  await writeFile(path.join(folder, 'owner'), `${process.pid} 1`);
  expect((await openDataFolder(folder, lifecycle)).path).toBe(folder);
});

test('waiting for an owner that goes on ends with a signal to us', async () => {
  await taken();
  const opening = openDataFolder(folder, lifecycle);
  void lifecycle.close();
  await expect(opening).rejects.toMatchObject({ code: 'STOPPING' });
});
