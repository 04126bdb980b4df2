import { z } from 'zod';
import type { ServeOptions } from './serve.ts';

/** Extensions have an origin too, of which URLs know nothing: the id that the browser gives them. */
const extension = /^(?:chrome|moz|safari-web)-extension:\/\/[\w-]+$/;

const isOrigin = (text: string): boolean =>
  extension.test(text) || (URL.canParse(text) && /^https?:\/\/[^/]+$/.test(text) && new URL(text).origin === text);

/** An origin as browsers send it: scheme, host and port, nothing after them. */
const origin = z.string().refine(isOrigin, {
  message: 'an origin is like https://app.example.com, lower case, without a path',
});

/**
 * The part of the environment that every HTTP service has, to be spread into its schema.
 * @param port the service's own default.
 */
export const httpConfig = (port: number) => ({
  /** All addresses, of IPv6 and IPv4, unless said. */
  HOST: z.string().optional(),
  /** Where the service listens; 0 takes a free one. */
  PORT: z.coerce.number().int().min(0).max(65_535).default(port),
  /** A port for `/metrics` and `/internal`, which PORT then does not have: nobody from outside gets there. */
  METRICS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  /** The bearer of `/metrics` where it has no port of its own; without both there is none. */
  METRICS_TOKEN: z.string().min(16).optional(),
  /** How long `/health/ready` says "stopping" before the port is closed, so that balancers have looked elsewhere. */
  DRAIN_SECONDS: z.coerce.number().min(0).max(300).default(0),
  /** The least that is logged: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`. */
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
  /** `https://key@host/project`: faults of ours are reported to Sentry, as the log has them. Without it nothing of Sentry is loaded. */
  SENTRY_DSN: z.url({ protocol: /^https?$/ }).optional(),
  /** `production` unless said. */
  SENTRY_ENVIRONMENT: z.string().optional(),
  /** The version that is reported as running. */
  SENTRY_RELEASE: z.string().optional(),
  /** `http://collector:4318`: what is done is sent there as traces, by OTLP over HTTP. Without it nothing of OpenTelemetry is loaded. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  /** Headers for the collector, `name=value` with commas between. */
  OTEL_EXPORTER_OTLP_HEADERS: z.string().optional(),
  /** The share of traces that is kept, 0 to 1; the same for all services. */
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  /** Requests a minute for each address, over all services and replicas, on what people use. */
  IP_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(1_000),
});

export type HttpConfig = z.output<z.ZodObject<ReturnType<typeof httpConfig>>>;

/** What `serve` needs of it. */
export const httpOptions = (
  config: Omit<HttpConfig, 'LOG_LEVEL' | 'IP_LIMIT_PER_MINUTE' | `SENTRY_${string}` | `OTEL_${string}`>,
): Required<
  Pick<ServeOptions, 'host' | 'port' | 'metricsPort' | 'metricsToken' | 'drainMs' | 'trustedProxies' | 'corsOrigins'>
> => ({
  host: config.HOST,
  port: config.PORT,
  metricsPort: config.METRICS_PORT,
  metricsToken: config.METRICS_TOKEN,
  drainMs: config.DRAIN_SECONDS * 1_000,
  trustedProxies: config.TRUSTED_PROXIES,
  corsOrigins: config.CORS_ORIGINS,
});
