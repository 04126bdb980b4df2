import path from 'node:path';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

const {
  CORS_ORIGINS,
  METRICS_PORT,
  METRICS_TOKEN,
  DRAIN_SECONDS,
  TRUSTED_PROXIES,
  LOG_LEVEL,
  OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_HEADERS,
  OTEL_TRACES_SAMPLER_ARG,
} = httpConfig(8080);

/** What a person may set here; the services read their own variables besides (docs/operating.md). */
export const configSchema = z.object({
  CORS_ORIGINS,
  METRICS_PORT,
  METRICS_TOKEN,
  DRAIN_SECONDS,
  TRUSTED_PROXIES,
  LOG_LEVEL,
  OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_HEADERS,
  OTEL_TRACES_SAMPLER_ARG,
  /** The port of everything; 0 takes a free one. */
  WORKTIDE_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  /** The address it listens on. On a loopback address limits by address are wide. */
  WORKTIDE_HOST: z.string().default('127.0.0.1'),
  /**
   * The port of ClickHouse on 127.0.0.1, for accounts of analysts; 0 takes a free one. Unless said 8123, or a free one where that
   * is in use or WORKTIDE_PORT is 0.
   */
  WORKTIDE_CLICKHOUSE_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  /** The folder with all that is kept. */
  WORKTIDE_DATA: z
    .string()
    .default('./data')
    .transform((folder) => path.resolve(folder)),
  /** Bytes of the data folder's disk that are left free; 2 % of it unless said, but 200 MB to 2 GB. */
  WORKTIDE_MIN_FREE_BYTES: z.coerce.number().int().nonnegative().optional(),
});

export type Config = z.output<typeof configSchema>;
