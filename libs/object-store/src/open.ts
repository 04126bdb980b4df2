import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { badUrl } from './bad-url.ts';
import { openFolder } from './folder/open.ts';
import { openS3 } from './s3/open.ts';
import type { ObjectStore, ObjectStoreOptions } from './types.ts';

/**
 * Opens the store behind a URL. S3 is connected to lazily, so that one that is away does not keep a service from
 * starting; a folder is made where it is missing.
 * - `s3://[key:secret@]bucket[?endpoint=http://host:port&region=…&pathStyle=true&publicEndpoint=https://…&prefix=…]`:
 *   key and secret percent-encoded; without them the standard chain is asked (environment, profile, role of the pod or
 *   machine). Without `endpoint` it is AWS, where `region` (or `AWS_REGION`) says which. `publicEndpoint` is what
 *   signed URLs name, where people reach the store by another address than services do. `prefix` goes before every key
 *   and is not seen by callers, for several systems (or tests) in one bucket.
 * - `file:/folder` or `file:///folder`, embedded; any number of processes of one machine may open it. With
 *   `?reserveBytes=N` it takes nothing (503 `STORAGE_FULL`) while less than N bytes of its disk are free.
 * @throws AppError `BAD_CONFIGURATION` for any other URL, and for a folder that cannot be made; the URL is not repeated.
 */
export function openObjectStore(url: string, options: ObjectStoreOptions): ObjectStore {
  if (url.startsWith('s3://')) return openS3(url, options);
  if (url.startsWith('file:')) return openFolder(folderOf(url), reserveOf(url), options);
  throw badUrl('expected s3://bucket or file:/folder');
}

const reserve = /\?reserveBytes=(\d{1,15})$/;
const reserveOf = (url: string): number => Number(reserve.exec(url)?.[1] ?? 0);

function folderOf(url: string): string {
  const plain = url.replace(reserve, '');
  const target = plain.slice('file:'.length);
  try {
    const folder = target.startsWith('//') ? fileURLToPath(plain) : target;
    if (folder !== '') return path.resolve(folder);
  } catch {
    // Said below.
  }
  throw badUrl('expected file:/folder');
}
