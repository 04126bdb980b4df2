import { statfs } from 'node:fs/promises';
import { AppError } from './errors.ts';

/** 503: nothing more can be stored. What is stored can be read, and deleting makes room. */
export const storageFull = (cause?: unknown): AppError =>
  new AppError('STORAGE_FULL', 'There is no room left to store more.', {
    statusCode: 503,
    retryAfterSeconds: 30,
    cause,
  });

/** Whether a call of the file system says that the disk, or somebody's share of it, is used up. */
export const isOutOfSpace = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(String((error as NodeJS.ErrnoException | undefined)?.code));

/** Bytes that may still be written to the file system of a folder; 0 where it can hold no more files. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  // Some file systems, btrfs among them, do not count files.
  return files > 0 && ffree < 100 ? 0 : bavail * bsize;
}

/** The room on the disk of a folder, down to a reserve that is not for us to fill. */
export interface Space {
  /** What refuses a write at the moment; undefined while there is more room than the reserve. */
  shortage(): Promise<AppError | undefined>;
}

const cacheMs = 1_000;

/**
 * Asks the file system once a second at most, so that it can be asked before every write.
 * @param reserveBytes 0 asks nobody: then a write alone tells.
 */
export function openSpace(folder: string, reserveBytes: number): Space {
  let last: { at: number; answer: Promise<AppError | undefined> } | undefined;

  async function look(): Promise<AppError | undefined> {
    // A folder that cannot be asked is not full; the write will say what is the matter.
    const free = await freeBytes(folder).catch(() => Number.POSITIVE_INFINITY);
    return free < reserveBytes
      ? storageFull(new Error(`${free} bytes are free, ${reserveBytes} are to stay so (${folder})`))
      : undefined;
  }

  return {
    async shortage() {
      if (reserveBytes === 0) return undefined;
      const now = performance.now();
      if (!last || now - last.at > cacheMs) last = { at: now, answer: look() };
      return last.answer;
    },
  };
}
