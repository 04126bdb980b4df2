import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { z } from 'zod';
import { isRange } from './webhooks/addresses.ts';

const list = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  ...httpConfig(8087),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** A replica for what may lag: lists. */
  POSTGRES_READ_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
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
  /**
   * Ranges that webhooks may be delivered to though they are not of the public internet, `10.1.0.0/16,fd00::/8`: for receivers of
   * one's own network. Everybody who administers an organisation can then have requests sent to all of them.
   */
  WEBHOOK_ALLOWED_RANGES: z
    .string()
    .default('')
    .transform(list)
    .refine((ranges) => ranges.every(isRange), { message: 'not ranges like 10.0.0.0/8, with commas between' }),
  /** Whether webhooks may be delivered to without TLS, in WEBHOOK_ALLOWED_RANGES alone. */
  WEBHOOK_ALLOW_HTTP: z.stringbool().default(false),
  /**
   * Seals secrets of webhooks in the database: 32 characters or more; two with a comma between while it is changed, the new one
   * first. Without one they lie there as they are.
   */
  WEBHOOK_SECRETS_KEY: z
    .string()
    .default('')
    .transform(list)
    .refine((keys) => keys.every((key) => key.length >= 32), { message: 'shorter than 32 characters' }),
  /** Webhooks delivered to at a time in a process; those that fail have half of it. */
  WEBHOOK_CONCURRENCY: z.coerce.number().int().min(2).max(256).default(16),
});

export type Config = z.output<typeof configSchema>;
