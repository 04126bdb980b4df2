import { AppError } from '@worktide/runtime';

/** The URL itself is never repeated: it may hold a secret. */
export const badUrl = (problem: string): AppError =>
  new AppError('BAD_CONFIGURATION', `Bad configuration:\n  object store URL: ${problem}`);
