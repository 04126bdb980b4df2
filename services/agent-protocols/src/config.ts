import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8088),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** A replica for what may lag: lists. */
  POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  ...eventLogConfig,
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  AUTH_URL: z.url({ protocol: /^https?$/ }),
  INTERNAL_TOKEN: z.string().min(32),
  /** Requests of one user to what WakaTime's plugins call, all replicas together. */
  WAKATIME_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(600),
});

export type Config = z.output<typeof configSchema>;
