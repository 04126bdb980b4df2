import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The analytics service's environment. */
export const configSchema = z.object({
  ...httpConfig(8083),
  /** `http[s]://user:password@host:8123/worktide`. */
  CLICKHOUSE_URL: z.string(),
  ...eventLogConfig,
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  AUTH_URL: z.url(),
  /** Asked who leads whom; without it nobody does. */
  WORKSPACE_URL: z.url({ protocol: /^https?$/ }).optional(),
  INTERNAL_TOKEN: z.string().min(32),
  /** Reports in work at a time. Each uses two threads of ClickHouse at most. */
  REPORT_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
  /** Queries of analysts in work at a time, one of each organisation. Each uses two threads of ClickHouse at most. */
  ANALYST_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
  /** Where analysts reach ClickHouse with their accounts, `https://clickhouse.example.com:8443`; that of CLICKHOUSE_URL unless said. */
  ANALYST_CLICKHOUSE_URL: z.url({ protocol: /^https?$/ }).optional(),
});

export type Config = z.output<typeof configSchema>;
