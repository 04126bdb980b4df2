import { AppError } from '@worktide/runtime';

/** The URL itself is never repeated: it may hold a password. */
export const badUrl = (problem: string): AppError =>
  new AppError('BAD_CONFIGURATION', `Bad configuration:\n  event log URL: ${problem}`);

export const notEncoded = (): AppError =>
  badUrl('user and password are to be percent-encoded, as encodeURIComponent does');

/**
 * The parameters of a URL, each of them known and there once.
 * @throws AppError `BAD_CONFIGURATION`
 */
export function parametersOf(query: string, known: readonly string[]): Map<string, string> {
  // What looks like a parameter here is the rest of a password with a `?` in it.
  if (query.includes('@')) throw notEncoded();
  const given = [...new URLSearchParams(query)];
  const parameters = new Map(given);
  const unknown = [...parameters.keys()].filter((name) => !known.includes(name));
  if (unknown.length > 0) throw badUrl(`unknown parameter ${unknown.join(', ')}`);
  if (parameters.size < given.length) throw badUrl('a parameter is there twice');
  return parameters;
}

/** What goes before the names of topics and groups. */
export function prefixOf(parameters: Map<string, string>): string {
  const prefix = parameters.get('prefix') ?? '';
  if (/^[A-Za-z0-9._-]{0,50}$/.test(prefix)) return prefix;
  throw badUrl('prefix may hold letters, digits, dot, dash and underscore, 50 at most');
}
