import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { AppError } from '@worktide/runtime';

/** Other kinds of files are not served. */
const contentTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
};

export interface BuiltFile {
  contentType: string;
  body: Buffer;
  /** Where it is smaller so. */
  gzipped?: Buffer;
}

export interface BuiltFiles {
  /** With the place of the nonce, see `pages.ts`. */
  index: string;
  /** By path of the URL, `/assets/index-1a2b.js`. */
  byPath: Map<string, BuiltFile>;
}

/**
 * All that was built, in memory: it is a megabyte or two, and a build beside a running process takes no file away from it.
 * @throws AppError `DASHBOARD_NOT_BUILT` where there is no `index.html`.
 */
export async function readFiles(folder: string): Promise<BuiltFiles> {
  const index = await readFile(path.join(folder, 'index.html'), 'utf8').catch((cause: unknown) => {
    throw new AppError('DASHBOARD_NOT_BUILT', `${folder} has no index.html: npm run dashboard:build writes it.`, {
      cause,
    });
  });
  const byPath = new Map<string, BuiltFile>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const contentType = contentTypes[path.extname(entry.name)];
    if (!entry.isFile() || contentType === undefined || entry.name === 'index.html') continue;
    const file = path.join(entry.parentPath, entry.name);
    const body = await readFile(file);
    const gzipped = await promisify(gzip)(body, { level: 9 });
    byPath.set(`/${path.relative(folder, file).split(path.sep).join('/')}`, {
      contentType,
      body,
      ...(gzipped.length < body.length ? { gzipped } : {}),
    });
  }
  return { index, byPath };
}
