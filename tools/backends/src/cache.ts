import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isRunning } from './processes.ts';

/** Where downloads are kept between runs: `WORKTIDE_CACHE`, else `~/.cache/worktide`. */
export const cacheFolder = (): string => process.env.WORKTIDE_CACHE || path.join(homedir(), '.cache', 'worktide');

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

/**
 * The folder `<cache>/<name>`, filled once. It appears by a rename after `fill` has succeeded, so an interrupted
 * download is never taken for a whole one.
 * @param name holds the version, e.g. `kafka-4.3.1`: another version is another folder.
 * @param fill gets an empty folder to write to.
 */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = path.join(cacheFolder(), name);
  if (await exists(folder)) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  const unlock = await lock(`${folder}.lock`);
  const partial = `${folder}.partial-${process.pid}`;
  try {
    if (await exists(folder)) return folder;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await fill(partial);
    await rename(partial, folder);
    return folder;
  } finally {
    await rm(partial, { recursive: true, force: true });
    await unlock();
  }
}

/**
 * A lock between processes of one machine. One left behind by a dead owner is taken over. Two that take it over in the
 * same moment would both download, which costs time and nothing else: what counts is the rename at the end.
 */
async function lock(file: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = await readFile(file, 'utf8').catch(() => '');
    const age = await stat(file).then(
      (s) => Date.now() - s.mtimeMs,
      () => 0,
    );
    // Between creation and the write of its owner's id a lock is empty.
    const abandoned = owner === '' ? age > 5_000 : !isRunning(Number(owner));
    if (abandoned) await rm(file, { force: true });
    else await wait(200);
  }
}
