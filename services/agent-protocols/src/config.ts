import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { pingQuotaConfig } from '@worktide/service';
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
  /** Asked which projects have the names that an imported file says; without it none has. */
  WORKSPACE_URL: z.url({ protocol: /^https?$/ }).optional(),
  INTERNAL_TOKEN: z.string().min(32),
  ...pingQuotaConfig,
  /** `s3://key:secret@bucket?endpoint=…`, or `file:/folder`; the whole of it is in operating.md. */
  OBJECT_STORE_URL: z.string(),
  /** Requests of one user to what WakaTime's plugins call, all replicas together. */
  WAKATIME_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(600),
  /** Full months of usage kept besides the present one; older partitions are dropped, and what is older is not imported. */
  USAGE_RETENTION_MONTHS: z.coerce.number().int().min(3).max(600).default(25),
  /** Of one imported file. */
  IMPORT_MAX_BYTES: z.coerce.number().int().min(1).default(1_200_000_000),
  /** Bytes that the files of an organisation may have that are not imported yet, before it can bring no more of them. */
  IMPORT_MAX_STORED_BYTES: z.coerce.number().int().min(1).default(6_000_000_000),
  /** How long the upload of a file may take. */
  IMPORT_UPLOAD_SECONDS: z.coerce.number().min(1).max(7_200).default(1_800),
  /** Files of one user, brought in an hour, all replicas together. */
  IMPORT_LIMIT_PER_HOUR: z.coerce.number().int().min(1).default(60),
  /** Files that are read or imported at a time, of an organisation one. */
  IMPORT_CONCURRENCY: z.coerce.number().int().min(1).max(16).default(2),
  /** Files of imports that arrive at once in a process; one organisation has half of what others leave. */
  IMPORT_UPLOADS_MAX: z.coerce.number().int().min(1).max(1_000).default(4),
  /** Where our own interface answers, which Hubnity's desktop is translated to; `{service}` stands for the name of each service. */
  API_URL: z
    .string()
    .refine((text) => /^https?:\/\//.test(text) && URL.canParse(text.replaceAll('{service}', 'auth')), {
      message: 'must be an http(s) URL, {service} in it for the name of the service',
    }),
  /** Requests of one user to what Hubnity's desktop calls, all replicas together. */
  HUBNITY_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(600),
  /** Requests of one user to what ActivityWatch's watchers call; they call it every second, and lose what is refused. */
  ACTIVITYWATCH_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(6_000),
});

export type Config = z.output<typeof configSchema>;
