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
  /** Of the public interface, to ask as the person who connects: which time entry of theirs is open. */
  WRITER_URL: z.url({ protocol: /^https?$/ }),
  /** Sockets of this process. An organisation alone has half of them, and less the more have come. */
  SOCKETS_MAX: z.coerce.number().int().min(2).default(20_000),
  /** Sockets of a person at this process. */
  SOCKETS_PER_USER: z.coerce.number().int().min(1).default(20),
  /** Connections from an address to this process: an office has one. */
  SOCKETS_PER_ADDRESS: z.coerce.number().int().min(1).default(2_000),
  INTERNAL_TOKEN: z.string().min(32),
});

export type Config = z.output<typeof configSchema>;
