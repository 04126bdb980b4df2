import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8085),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** A replica for what may lag: lists. */
  POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  ...eventLogConfig,
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  /** Where auth answers what only services ask: its METRICS_PORT where it has one. */
  AUTH_URL: z.url({ protocol: /^https?$/ }),
  INTERNAL_TOKEN: z.string().min(32),
});

export type Config = z.output<typeof configSchema>;
