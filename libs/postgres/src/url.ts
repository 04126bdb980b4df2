import { readFileSync } from 'node:fs';
import { AppError, describeError } from '@worktide/runtime';

/** What a mode means here, in pg's words. */
const modes = new Map([
  ['disable', 'disable'],
  ['no-verify', 'no-verify'],
  ...['prefer', 'require', 'verify-ca', 'verify-full'].map((mode) => [mode, 'verify-full'] as const),
]);

/**
 * A URL as pg is to have it. To pg 8 `prefer`, `require` and `verify-ca` mean `verify-full`, and it warns that with its
 * next major version they are to verify less, or nothing. Here they stay what they are.
 * @throws AppError `BAD_CONFIGURATION`; the URL is not repeated, it holds a password.
 */
export function verifiedUrl(url: string): string {
  const mark = url.indexOf('?');
  if (mark < 0) return url;
  const parameters = new URLSearchParams(url.slice(mark + 1));
  // The one makes `require` trust anybody, the other can be `no-verify` too.
  for (const name of ['uselibpqcompat', 'ssl']) {
    if (parameters.has(name)) throw badUrl(`${name} is not taken, sslmode is`);
  }
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) checkFile(name, parameters.get(name));
  const mode = parameters.get('sslmode');
  if (mode === null) return url;
  if (!modes.has(mode)) throw badUrl(`sslmode is one of ${[...modes.keys()].join(', ')}`);
  parameters.set('sslmode', modes.get(mode)!);
  return `${url.slice(0, mark)}?${parameters}`;
}

/** pg reads it at every connection, where it would be one more reason to wait for a database that is away. */
function checkFile(name: string, file: string | null): void {
  if (file === null) return;
  try {
    readFileSync(file);
  } catch (error) {
    throw badUrl(`${name}: ${describeError(error)}`);
  }
}

const badUrl = (problem: string): AppError =>
  new AppError('BAD_CONFIGURATION', `Bad configuration:\n  Postgres URL: ${problem}`);
