import { z } from 'zod';

/** The environment of this service; `loadConfig` reports every problem at once. */
export const configSchema = z.object({
  HOST: z.string().default('0.0.0.0'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8084),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  KEY_VALUE_URL: z.string().default('memory:'),
  /** Bearer secret of the routes that only other services call. */
  INTERNAL_TOKEN: z.string().min(32),
  /**
   * Ed25519 private key, PKCS #8 PEM or JWK. Without it one is made once and kept in auth.signing_keys, not encrypted:
   * this service's role and administrators of the database can read it, and so can their backups.
   */
  AUTH_SIGNING_KEY: z.string().optional(),
  /** Attempts a minute, for each account and for each address (U8). */
  LOGIN_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(5),
  /** New organisations a minute for each address. */
  REGISTER_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(60),
  /** `auto`: Secure where the request came over TLS, as told by a trusted proxy's X-Forwarded-Proto. */
  COOKIE_SECURE: z.enum(['auto', 'true', 'false']).default('auto'),
  /** Proxies in front whose X-Forwarded-* headers are believed. */
  TRUSTED_PROXIES: z.coerce.number().int().min(0).max(10).default(0),
});

export type Config = z.output<typeof configSchema>;
