import path from 'node:path';

// A key's parts are folders and its last part a file, so that people find their way about. S3 may have both `a` and
// `a/b`, where a file system has either a file or a folder `a`: folders are therefore called `a@`, and the file of a
// last part that ends in `@` or `%` gets a `%`, so that no file's name ends in `@`.

export const objectsFolder = (root: string): string => path.join(root, 'objects');
export const temporaryFolder = (root: string): string => path.join(root, 'temporary');

const folderName = (part: string): string => `${part}@`;
const fileName = (part: string): string => (/[@%]$/.test(part) ? `${part}%` : part);

/** The file of a checked key. */
export function fileOf(root: string, key: string): string {
  const parts = key.split('/');
  const last = parts.pop()!;
  return path.join(objectsFolder(root), ...parts.map(folderName), fileName(last));
}

/** The folder in which all keys are that begin with `prefix`, which ends in `/` or is empty. */
export const folderOfPrefix = (root: string, prefix: string): string =>
  path.join(objectsFolder(root), ...prefix.split('/').slice(0, -1).map(folderName));

/** What an entry of a folder stands for: the part of a key, ending in `/` where more follows. */
export function partOf(name: string, isFolder: boolean): string {
  if (isFolder) return `${name.slice(0, -1)}/`;
  return name.endsWith('%') ? name.slice(0, -1) : name;
}
