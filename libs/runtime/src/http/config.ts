import { z } from 'zod';
import type { HttpAppOptions } from './app.ts';

/** An origin as browsers send it: scheme, host and port, nothing after them. */
const origin = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:\/\/[^/]+$/.test(text) && new URL(text).origin === text, {
    message: 'an origin is like https://app.example.com, lower case, without a path',
  });

/**
 * The part of the environment that every HTTP service has, to be spread into its schema.
 * @param port the service's own default.
 */
export const httpConfig = (port: number) => ({
  HOST: z.string().default('0.0.0.0'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(port),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Proxies in front whose X-Forwarded-* headers are believed. */
  TRUSTED_PROXIES: z.coerce.number().int().min(0).max(10).default(0),
  /** Origins whose pages may call this service, with commas between; none unless said. */
  CORS_ORIGINS: z
    .string()
    .default('')
    .transform((text) => text.split(',').map((part) => part.trim()))
    .transform((parts) => parts.filter((part) => part !== ''))
    .pipe(z.array(origin)),
  /** Requests a minute for each address, over all services and replicas, on what people use (I7). */
  IP_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(1_000),
});

/** What `serve` needs of it. */
export const httpOptions = (config: {
  HOST: string;
  PORT: number;
  TRUSTED_PROXIES: number;
  CORS_ORIGINS: string[];
}): { host: string; port: number } & Required<Pick<HttpAppOptions, 'trustedProxies' | 'corsOrigins'>> => ({
  host: config.HOST,
  port: config.PORT,
  trustedProxies: config.TRUSTED_PROXIES,
  corsOrigins: config.CORS_ORIGINS,
});
