import { chmod, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from './command.ts';

/** A file system of its own that can be filled to the last byte. */
export interface SmallDisk {
  dir: string;
  /** Takes all the room that is left, or all but some bytes of it. */
  fill(options?: { butBytes?: number }): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
  remove(): Promise<void>;
}

/** @throws Error that says what is needed where no file system can be mounted. */
export async function smallDisk(megabytes: number): Promise<SmallDisk> {
  const dir = await mkdtemp(path.join(tmpdir(), 'worktide-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir]);
  } catch (cause) {
    await rm(dir, { recursive: true });
    throw new Error('A full disk is tried on a small tmpfs; mounting one needs root (and CAP_SYS_ADMIN).', { cause });
  }
  // PostgreSQL runs as a user of its own where we are root.
  await chmod(dir, 0o711);
  const ballast = path.join(dir, 'ballast');
  return {
    dir,
    async fill({ butBytes = 0 } = {}) {
      const file = await open(ballast, 'a');
      try {
        for (const piece of [Buffer.alloc(1_048_576), Buffer.alloc(4_096)]) while (await fits(file, piece));
        const { size } = await file.stat();
        if (butBytes > 0) await file.truncate(Math.max(0, size - butBytes));
      } finally {
        await file.close();
      }
    },
    free: () => rm(ballast, { force: true }),
    async remove() {
      await run('umount', ['--lazy', dir]);
      await rm(dir, { recursive: true });
    },
  };
}

/** Whether the whole piece could be written. */
async function fits(file: Awaited<ReturnType<typeof open>>, piece: Buffer): Promise<boolean> {
  try {
    return (await file.write(piece)).bytesWritten === piece.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
