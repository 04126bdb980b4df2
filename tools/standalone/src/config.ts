import path from 'node:path';
import { z } from 'zod';

/** All that a person may set; everything else has one good value on a laptop. */
export const configSchema = z.object({
  WORKTIDE_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  WORKTIDE_HOST: z.string().default('127.0.0.1'),
  WORKTIDE_DATA: z
    .string()
    .default('./data')
    .transform((folder) => path.resolve(folder)),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
});

export type Config = z.output<typeof configSchema>;
