import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { makePrivate } from './index.ts';

let folder: string;
let umask: number;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'worktide-private-'));
  umask = process.umask(0o022);
});
afterEach(async () => {
  process.umask(umask);
  await rm(folder, { recursive: true, force: true });
});

const modeOf = async (...parts: string[]): Promise<string> =>
  ((await stat(path.join(folder, ...parts))).mode & 0o7777).toString(8);
/** As root PostgreSQL's user passes through. */
const closed = process.getuid?.() === 0 ? '711' : '700';

test('what is ours is closed, however deep; what is not, and where a link leads to, stays as it is', async () => {
  await mkdir(path.join(folder, 'data/log/deep'), { recursive: true });
  await writeFile(path.join(folder, 'data/log/deep/data.mdb'), '');
  await writeFile(path.join(folder, 'data/worktide.log'), '');
  await writeFile(path.join(folder, 'data/program'), '', { mode: 0o755 });
  await mkdir(path.join(folder, 'data/theirs'));
  await mkdir(path.join(folder, 'elsewhere'));
  await symlink(path.join(folder, 'elsewhere'), path.join(folder, 'data/log/link'));
  expect(await makePrivate(path.join(folder, 'data'), (name) => name !== 'theirs')).toEqual([]);
  expect(await modeOf('data')).toBe(closed);
  expect(await modeOf('data/log')).toBe('700');
  expect(await modeOf('data/log/deep')).toBe('700');
  expect(await modeOf('data/log/deep/data.mdb')).toBe('600');
  expect(await modeOf('data/worktide.log')).toBe('600');
  expect(await modeOf('data/program')).toBe('700');
  expect(await modeOf('data/theirs')).toBe('755');
  expect(await modeOf('elsewhere')).toBe('755');
});

test('a folder that is not there is made, with those above it; one that is shared on purpose is left', async () => {
  process.umask(0o077);
  await makePrivate(path.join(folder, 'some/where/data'), () => true);
  for (const dir of ['some', 'some/where', 'some/where/data']) expect(await modeOf(dir)).toBe(closed);
  await chmod(folder, 0o1777);
  await makePrivate(folder, () => false);
  expect(await modeOf()).toBe('1777');
});
