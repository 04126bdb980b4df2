import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8082),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** A replica for what may lag: lists. */
  POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  ...eventLogConfig,
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  AUTH_URL: z.url({ protocol: /^https?$/ }),
  /** Asked about a project or task that the log has not told of yet; without it such a one is unknown. */
  WORKSPACE_URL: z.url({ protocol: /^https?$/ }).optional(),
  INTERNAL_TOKEN: z.string().min(32),
  /** Full months of usage kept besides the present one; older partitions are dropped. */
  USAGE_RETENTION_MONTHS: z.coerce.number().int().min(3).max(600).default(25),
  /** Requests of one user to `/sync/*`, all replicas together; of each service by itself. */
  SYNC_LIMIT_PER_MINUTE: z.coerce.number().int().positive().default(60),
  /** How often idle timers and long days are looked for. */
  ALERTS_EVERY_SECONDS: z.coerce.number().int().min(1).max(3_600).default(60),
  /** Transactions side by side. */
  WRITER_TRANSACTIONS: z.coerce.number().int().min(1).max(16).default(3),
});

export type Config = z.output<typeof configSchema>;
