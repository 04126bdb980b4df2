import { mkdirSync } from 'node:fs';
import { access, constants, open, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { AppError, type Logger, openSpace } from '@worktide/runtime';
import type { Driver } from '../driver.ts';
import { createStore } from '../store.ts';
import type { ObjectStore, ObjectStoreOptions } from '../types.ts';
import { isAbsence, place, readTrailer, remove, writeTemporary } from './files.ts';
import { fileOf, objectsFolder, temporaryFolder } from './layout.ts';
import { walk } from './list.ts';
import { createRoutes } from './routes.ts';
import { createSigner } from './signature.ts';

/** After this a temporary file is what a crash left: no upload lasts as long. */
const leftoverMs = 3_600_000;

/**
 * Objects in a folder of this machine.
 * @param reserveBytes of its disk are left free: below that nothing is taken.
 */
export function openFolder(root: string, reserveBytes: number, options: ObjectStoreOptions): ObjectStore {
  const space = openSpace(root, reserveBytes);
  const { signingSecret, publicUrl = '', log } = options;
  const [objects, temporary] = [objectsFolder(root), temporaryFolder(root)];
  // Only here: where the disk goes away later, its mount point is not to be filled instead.
  try {
    for (const folder of [objects, temporary]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new AppError('BAD_CONFIGURATION', 'Bad configuration:\n  object store: its folder cannot be made', { cause });
  }
  void removeLeftovers(temporary, log);
  // What a killed process left is too young for its restart to remove.
  const removing = setInterval(() => void removeLeftovers(temporary, log), leftoverMs);
  removing.unref();
  const signer = signingSecret ? createSigner(signingSecret) : undefined;

  /** What cannot be found is absent only where the folder itself is there. */
  async function ifPresent<T>(act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      if (!isAbsence(error)) throw error;
      await stat(objects);
      return undefined;
    }
  }

  function sign(grant: Parameters<NonNullable<typeof signer>['sign']>[0]): string {
    if (!signer) throw new AppError('BAD_CONFIGURATION', 'Bad configuration:\n  a folder signs with a signingSecret');
    return publicUrl.replace(/\/$/, '') + signer.sign(grant);
  }
  const expiry = (seconds: number): number => Math.ceil(Date.now() / 1_000) + seconds;

  const driver: Driver = {
    async put(key, source, { contentType, ifAbsent, signal }) {
      const shortage = await space.shortage();
      if (shortage) throw shortage;
      const { file, size, etag } = await writeTemporary(temporary, source, contentType);
      try {
        signal.throwIfAborted();
        await place(file, fileOf(root, key), ifAbsent);
        return { size, etag };
      } finally {
        // Renamed, or linked, or not wanted.
        await rm(file, { force: true });
      }
    },
    get: (key, pick) =>
      ifPresent(async () => {
        const handle = await open(fileOf(root, key), 'r');
        try {
          const found = await readTrailer(handle);
          const range = pick?.(found.size);
          const { start, end } = range ?? { start: 0, end: found.size - 1 };
          if (end >= start) return { ...found, range, body: handle.createReadStream({ start, end }) };
          await handle.close();
          return { ...found, range, body: Readable.from([]) };
        } catch (error) {
          await handle.close().catch(() => {});
          throw error;
        }
      }),
    head: (key) =>
      ifPresent(async () => {
        const handle = await open(fileOf(root, key), 'r');
        try {
          return await readTrailer(handle);
        } finally {
          await handle.close();
        }
      }),
    async delete(key) {
      await stat(objects);
      await remove(fileOf(root, key), objects);
    },
    async deleteMany(keys) {
      await stat(objects);
      for (const key of keys) await remove(fileOf(root, key), objects);
    },
    async list(prefix, after, limit) {
      await stat(objects);
      const items = [];
      for await (const item of walk(root, prefix, after)) {
        if (items.length === limit) return { items, more: true };
        items.push(item);
      }
      return { items, more: false };
    },
    signedGet: async (key, { expiresSeconds, fileName }) =>
      sign({ method: 'GET', key, expires: expiry(expiresSeconds), ...(fileName === undefined ? {} : { fileName }) }),
    signedPut: async (key, { contentType, size, expiresSeconds }) => ({
      url: sign({ method: 'PUT', key, expires: expiry(expiresSeconds), size, contentType }),
      headers: { 'content-type': contentType, 'content-length': String(size) },
    }),
    async check() {
      for (const folder of [objects, temporary]) await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    },
    close: () => clearInterval(removing),
  };
  return createStore(driver, options, signer && ((store) => createRoutes(store, signer, options)));
}

/** What puts left that a crash ended. */
async function removeLeftovers(folder: string, log: Logger): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      const file = path.join(folder, name);
      const age = await stat(file).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      );
      if (age > leftoverMs) await rm(file, { force: true });
    }
  } catch (error) {
    log.warn({ err: error }, 'leftovers of the object store were not removed');
  }
}
