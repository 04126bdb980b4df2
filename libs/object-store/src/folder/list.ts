import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ListedObject } from '../types.ts';
import { isAbsence, trailerBytes } from './files.ts';
import { folderOfPrefix, partOf } from './layout.ts';

const inOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/**
 * The objects behind `after` whose keys begin with `prefix`, in the order of their keys' bytes, read as they are
 * asked for. A folder's entries are sorted by what stands in the keys (`a-b` before `a/`), and all keys of one folder
 * begin alike, so going depth first is going in order.
 */
export async function* walk(root: string, prefix: string, after: string | undefined): AsyncGenerator<ListedObject> {
  yield* walkFolder(root, prefix.slice(0, prefix.lastIndexOf('/') + 1), prefix, after);
}

async function* walkFolder(
  root: string,
  above: string,
  prefix: string,
  after: string | undefined,
): AsyncGenerator<ListedObject> {
  const folder = folderOfPrefix(root, above);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    // Removed with its last object.
    if (isAbsence(error)) return [];
    throw error;
  });
  const found = entries.map((entry) => ({
    name: above + partOf(entry.name, entry.isDirectory()),
    file: path.join(folder, entry.name),
    isFolder: entry.isDirectory(),
  }));
  found.sort((a, b) => inOrder(a.name, b.name));
  for (const { name, file, isFolder } of found) {
    if (!name.startsWith(prefix)) continue;
    if (after !== undefined && !(isFolder && after.startsWith(name)) && inOrder(name, after) <= 0) continue;
    if (isFolder) {
      yield* walkFolder(root, name, prefix, after);
      continue;
    }
    const stats = await stat(file).catch((error: unknown) => {
      if (isAbsence(error)) return undefined;
      throw error;
    });
    if (stats) yield { key: name, size: stats.size - trailerBytes, modifiedAt: stats.mtime };
  }
}
