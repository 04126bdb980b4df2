import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8088),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  ...eventLogConfig,
  SCHEMA_REGISTRY_URL: z.string().default('local:'),
  KEY_VALUE_URL: z.string().default('memory:'),
  AUTH_URL: z.url({ protocol: /^https?$/ }),
  INTERNAL_TOKEN: z.string().min(32),
  /** Requests of one user to what WakaTime's plugins call, all replicas together. */
  WAKATIME_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(600),
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
