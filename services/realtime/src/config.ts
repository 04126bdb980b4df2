import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8087),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  ...eventLogConfig,
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  AUTH_URL: z.url({ protocol: /^https?$/ }),
  /** Asked who leads whom; without it nobody does. */
  WORKSPACE_URL: z.url({ protocol: /^https?$/ }).optional(),
  INTERNAL_TOKEN: z.string().min(32),
});

export type Config = z.output<typeof configSchema>;
