import { z } from 'zod';

/** The analytics service's environment. */
export const configSchema = z.object({
  HOST: z.string().default('0.0.0.0'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8083),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  CLICKHOUSE_URL: z.string(),
  EVENT_LOG_URL: z.string(),
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  AUTH_URL: z.url(),
  INTERNAL_TOKEN: z.string().min(32),
  TRUSTED_PROXIES: z.coerce.number().int().min(0).default(0),
});

export type Config = z.output<typeof configSchema>;
