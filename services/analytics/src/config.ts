import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The analytics service's environment. */
export const configSchema = z
  .object({
    ...httpConfig(8083),
    POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
    /** A replica for what may lag: lists. */
    POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
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
    OBJECT_STORE_URL: z.string(),
    OBJECT_SIGNING_SECRET: z.string().min(32).optional(),
    PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
    /** Exports in work at a time. Each uses one thread of ClickHouse at most, and one of this process. */
    EXPORT_CONCURRENCY: z.coerce.number().int().min(1).max(16).default(2),
    /** Rows that one export may have. */
    EXPORT_MAX_ROWS: z.coerce.number().int().min(1).default(5_000_000),
    /** Bytes that the file of one export may have. */
    EXPORT_MAX_BYTES: z.coerce.number().int().min(1).default(2_000_000_000),
    /** Bytes that the files of all exports of an organisation may have before it can have no more of them. */
    EXPORT_MAX_STORED_BYTES: z.coerce.number().int().min(1).default(10_000_000_000),
  })
  .refine((config) => !config.OBJECT_STORE_URL?.startsWith('file:') || config.OBJECT_SIGNING_SECRET !== undefined, {
    message: 'a folder cannot give out links without it',
    path: ['OBJECT_SIGNING_SECRET'],
    // With all other problems, and not after them.
    when: () => true,
  });

export type Config = z.output<typeof configSchema>;
