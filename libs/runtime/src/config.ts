import type { z } from 'zod';
import { trustProblems } from './certificates.ts';
import { AppError } from './errors.ts';

/**
 * Reads the environment through a zod object, keys being the variables' names.
 * @throws AppError `BAD_CONFIGURATION` naming every problem at once; values are never repeated, they may be secrets.
 */
export function loadConfig<S extends z.ZodObject>(schema: S, env: Record<string, string | undefined>): z.output<S> {
  // An empty variable is an unset one: that is how compose files and charts express "default".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const result = schema.safeParse(given);
  const issues = result.error?.issues ?? [];
  const problems = [
    ...issues.map((issue) => `${issue.path.join('.') || 'environment'}: ${issue.message}`),
    ...trustProblems(given),
  ];
  if (result.success && problems.length === 0) return result.data;
  throw new AppError('BAD_CONFIGURATION', `Bad configuration:\n  ${problems.join('\n  ')}`);
}
