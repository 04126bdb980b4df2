import type { z } from 'zod';
import { AppError } from './errors.ts';

/**
 * Reads the environment through a zod object, keys being the variables' names.
 * @throws AppError `BAD_CONFIGURATION` naming every problem at once; values are never repeated, they may be secrets.
 */
export function loadConfig<S extends z.ZodObject>(schema: S, env: Record<string, string | undefined>): z.output<S> {
  // An empty variable is an unset one: that is how compose files and charts express "default".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.') || 'environment'}: ${issue.message}`);
  throw new AppError('BAD_CONFIGURATION', `Bad configuration:\n  ${problems.join('\n  ')}`);
}
