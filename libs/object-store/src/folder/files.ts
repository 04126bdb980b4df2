import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, link, mkdir, open, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { conflict } from '@worktide/runtime';
import type { StoredObject } from '../types.ts';

// An object is one file: its bytes, then a trailer of fixed length with type and etag. One rename makes bytes and type
// appear together; with a second file beside it a reader could meet the one without the other.
export const trailerBytes = 512;
const mark = 'worktide object 1 ';

/** Calls of the file system that say "it is not there". */
export const isAbsence = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done)).bytesWritten;
  }
}

/** Writes an object to a new file in `folder`, durably. Throws what the source throws; the file is then gone. */
export async function writeTemporary(
  folder: string,
  source: AsyncIterable<Buffer>,
  contentType: string,
): Promise<{ file: string; size: number; etag: string }> {
  const file = path.join(folder, randomUUID());
  const handle = await open(file, 'wx', 0o600);
  try {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of source) {
      hash.update(chunk);
      size += chunk.length;
      await writeAll(handle, chunk);
    }
    const etag = hash.digest('hex').slice(0, 32);
    await writeAll(handle, Buffer.from((mark + JSON.stringify({ contentType, etag })).padEnd(trailerBytes)));
    await handle.sync();
    await handle.close();
    return { file, size, etag };
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(file, { force: true });
    throw error;
  }
}

/** @throws Error where the file is none of ours, or not whole. */
export async function readTrailer(handle: FileHandle): Promise<StoredObject> {
  const size = (await handle.stat()).size - trailerBytes;
  const buffer = Buffer.alloc(trailerBytes);
  const { bytesRead } = await handle.read(buffer, 0, trailerBytes, Math.max(0, size));
  const text = buffer.toString('utf8');
  if (size < 0 || bytesRead !== trailerBytes || !text.startsWith(mark))
    throw new Error('a file is not as it was written');
  const { contentType, etag } = JSON.parse(text.slice(mark.length)) as Omit<StoredObject, 'size'>;
  return { size, contentType, etag };
}

/** Makes a folder's entries durable. One that is gone was emptied by somebody else, who sees to its parent. */
async function sync(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
}

/** Syncs a folder and those above it up to `top`. */
async function syncUpTo(folder: string, top: string): Promise<void> {
  for (let each = folder; ; each = path.dirname(each)) {
    await sync(each);
    if (each === top || each === path.dirname(each)) return;
  }
}

/**
 * Gives a written file its name, durably.
 * @throws AppError 409 `OBJECT_EXISTS` with `ifAbsent`, where there is one.
 */
export async function place(temporary: string, file: string, ifAbsent: boolean): Promise<void> {
  const folder = path.dirname(file);
  const made = await nameIt(temporary, file, ifAbsent);
  await syncUpTo(folder, made ? path.dirname(made) : folder);
}

/** @returns the topmost folder that had to be made. */
async function nameIt(temporary: string, file: string, ifAbsent: boolean): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      const made = await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      // A link fails where the name is taken; a rename would replace it.
      if (ifAbsent) await link(temporary, file);
      else await rename(temporary, file);
      return made;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') throw conflict('OBJECT_EXISTS', 'There is such an object already.');
      // Somebody removed the empty folder in between.
      if (!isAbsence(error) || attempt === 20) throw error;
    }
  }
}

/** Removes a file, durably, and the folders above it that are empty then, up to `top`. */
export async function remove(file: string, top: string): Promise<void> {
  await rm(file, { force: true });
  let folder = path.dirname(file);
  for (; folder !== top; folder = path.dirname(folder)) {
    const gone = await rmdir(folder).then(
      () => true,
      (error: unknown) => isAbsence(error),
    );
    if (!gone) break;
  }
  await sync(folder);
}
