import { conflict } from '@worktide/runtime';

/** Refuses a change made from an older state than this one. @throws 409 `STALE_VERSION`. */
export function requireVersion(current: { version: number }, given: number | undefined): void {
  if (given === undefined || given === current.version) return;
  throw conflict('STALE_VERSION', `It has changed since: version ${current.version} is the present one.`);
}
