import path from 'node:path';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8089),
  /** The folder that `npm run dashboard:build` wrote: pages, scripts and styles, and nothing else. */
  DASHBOARD_FILES: z
    .string()
    .default('apps/dashboard/dist')
    .transform((folder) => path.resolve(folder)),
  /** Origins that signed links to pictures lead to, where that is not the dashboard's own, with commas between. */
  DASHBOARD_IMAGE_ORIGINS: z
    .string()
    .default('')
    .transform((text) => text.split(',').map((part) => part.trim()))
    .transform((parts) => parts.filter((part) => part !== ''))
    // It goes into a header, where a semicolon would begin another rule.
    .pipe(z.array(z.string().regex(/^https?:\/\/[\w.:[\]-]+$/, 'an origin is like https://files.example.com'))),
});

export type Config = z.output<typeof configSchema>;
