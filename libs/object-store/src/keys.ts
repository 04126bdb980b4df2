import { invalid } from '@worktide/runtime';

/** Longest key, in bytes of UTF-8. */
export const maxKeyBytes = 512;
/** Longest part between two `/`: a folder keeps each as a file name, for which file systems have 255 bytes. */
const maxPartBytes = 200;

// Control characters and what XML cannot hold: lists come from S3 as XML. The backslash parts paths on some systems.
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
const forbidden = /[\u0000-\u001f\u007f-\u009f\\\ufffe\uffff]/;

const isPart = (part: string): boolean =>
  part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= maxPartBytes;

/** Whether every store takes this key and gives it back unchanged. */
export const isKey = (key: string): boolean =>
  Buffer.byteLength(key) <= maxKeyBytes &&
  key.isWellFormed() &&
  !forbidden.test(key) &&
  key.split('/').every((part) => isPart(part));

/** @throws AppError 400 `INVALID_OBJECT_KEY`, which does not repeat the key: it may be anything. */
export function checkKey(key: string): void {
  if (!isKey(key)) throw invalid('INVALID_OBJECT_KEY', 'This is no name that an object can have.');
}

/** A prefix may end anywhere in a key, so only what could never begin one is refused. */
export function checkPrefix(prefix: string): void {
  const whole = prefix === '' || prefix.endsWith('/') ? `${prefix}x` : prefix;
  if (!isKey(whole) && !isKey(`${whole}x`)) {
    throw invalid('INVALID_OBJECT_KEY', 'No object can have a name that begins like this.');
  }
}
