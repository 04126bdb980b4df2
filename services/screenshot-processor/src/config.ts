import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z
  .object({
    ...httpConfig(8086),
    POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    /** A replica for what may lag: lists. */
    POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
    ...eventLogConfig,
    SCHEMA_REGISTRY_URL: z.string().default('local:'),
    KEY_VALUE_URL: z.string().default('memory:'),
    AUTH_URL: z.url({ protocol: /^https?$/ }),
    /** Asked who leads whom; without it nobody does. */
    WORKSPACE_URL: z.url({ protocol: /^https?$/ }).optional(),
    INTERNAL_TOKEN: z.string().min(32),
    OBJECT_STORE_URL: z.string(),
    OBJECT_SIGNING_SECRET: z.string().min(32).optional(),
    PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
    /** Pictures in work at a time. */
    SCREENSHOT_CONCURRENCY: z.coerce.number().int().min(1).max(32).default(5),
  })
  .refine((config) => !config.OBJECT_STORE_URL?.startsWith('file:') || config.OBJECT_SIGNING_SECRET !== undefined, {
    message: 'a folder cannot give out links without it',
    path: ['OBJECT_SIGNING_SECRET'],
    // With all other problems, and not after them.
    when: () => true,
  });

export type Config = z.output<typeof configSchema>;
