import { eventLogConfig } from '@worktide/event-log';
import { httpConfig } from '@worktide/runtime';
import { defaultPingLimits, maxScreenshotBytes, pingEventBounds, type SubscriptionStatus } from '@worktide/schemas';
import { pingQuotaConfig } from '@worktide/service';
import { z } from 'zod';
import { type StorageLimits, storageQuotaOf } from './storage/quota.ts';

const positive = z.coerce.number().int().positive();
const characters = (fallback: number, bound: number) =>
  positive.max(bound / 2, 'larger than the log takes').default(fallback);
/** What the consumers of the log would refuse, the gateway must not be told to accept. */
const time = (fallbackMs: number, boundMs: number, unitMs: number) =>
  positive.max(boundMs / unitMs, 'larger than the log takes').default(fallbackMs / unitMs);

/** The gateway's environment. It knows no database: only the log, the schema registry, the object store and auth. */
export const configSchema = z
  .object({
    ...httpConfig(8081),
    ...eventLogConfig,
    SCHEMA_REGISTRY_URL: z.string().default('local:'),
    KEY_VALUE_URL: z.string().default('memory:'),
    AUTH_URL: z.url(),
    INTERNAL_TOKEN: z.string().min(32),
    /** Where the session-writer answers; without it no request waits for the outcome of its batch (`Prefer: wait`). */
    WRITER_URL: z.url({ protocol: /^https?$/ }).optional(),
    /** `s3://key:secret@bucket?endpoint=…`, or `file:/folder`; the whole of it is in operating.md. */
    OBJECT_STORE_URL: z.string(),
    /** Signs the links of a folder, alike in every service; S3 signs its own. */
    OBJECT_SIGNING_SECRET: z.string().min(32).optional(),
    /** Where people reach the system: what the links of a folder begin with. */
    PUBLIC_URL: z.url().optional(),

    // Limits of `POST /pings`; the defaults are the public interface's.
    /** Pings of one request. */
    PINGS_MAX_PER_REQUEST: positive.max(10_000).default(1_000),
    /** Of the body of a request, decompressed too. */
    PINGS_MAX_BODY_BYTES: positive.max(16_000_000).default(1_000_000),
    /** Of one ping as JSON; raise it where the lengths are raised. */
    PING_MAX_BYTES: positive.max(65_536).default(16_384),
    /** Requests of one user at once. */
    PINGS_MAX_IN_FLIGHT: positive.default(16),
    /** Distinct streams (a `source` of a `deviceId`) of one user, in all. */
    PINGS_MAX_STREAMS: positive.default(2_000),
    /** Characters of an application's name; a ping with more is refused. */
    PINGS_MAX_APP_LENGTH: characters(defaultPingLimits.maxAppLength, pingEventBounds.app),
    /** Characters of a title; what is more is cut. */
    PINGS_MAX_TITLE_LENGTH: characters(defaultPingLimits.maxTitleLength, pingEventBounds.title),
    /** Characters of a URL; a longer one is left out. */
    PINGS_MAX_URL_LENGTH: characters(defaultPingLimits.maxUrlLength, pingEventBounds.url),
    /** From the start of a ping to its end. */
    PINGS_MAX_DURATION_SECONDS: time(defaultPingLimits.maxDurationMs, pingEventBounds.durationMs, 1_000),
    /** How long ago a ping may have started. */
    PINGS_MAX_AGE_DAYS: time(defaultPingLimits.maxAgeMs, pingEventBounds.ageMs, 86_400_000),
    /** How far ahead of our clock a ping may end. */
    PINGS_MAX_FUTURE_SECONDS: time(defaultPingLimits.maxFutureMs, pingEventBounds.futureMs, 1_000),

    ...pingQuotaConfig,

    /** Bytes that an organisation may store, by its plan, as `<screenshots>/<pings a month>` or `unlimited`. */
    STORAGE_FREE: storageQuotaOf('free'),
    /** As STORAGE_FREE. */
    STORAGE_TRIAL: storageQuotaOf('trial'),
    /** As STORAGE_FREE. */
    STORAGE_PRO: storageQuotaOf('pro'),
    /** As STORAGE_FREE. */
    STORAGE_ENTERPRISE: storageQuotaOf('enterprise'),

    /** Of one uploaded picture. */
    SCREENSHOT_MAX_BYTES: positive.default(maxScreenshotBytes),
    /** How long one upload may take. */
    UPLOAD_TIMEOUT_SECONDS: z.coerce.number().positive().max(120).default(120),
    /**
     * Large uploads at once: each may hold 24 MB of memory, smaller ones less, so there may be more of them. An organisation
     * has a share, half at most, and a user a quarter in number. Over it they are answered 503 unread.
     */
    UPLOADS_MAX: positive.min(2).default(16),
    /** Requests of one user to `/sync/*`, all replicas together. */
    SYNC_LIMIT_PER_MINUTE: positive.default(60),
    /**
     * Bytes that batches of offline entries may hold until the log has them, all together. Over its share of it an
     * organisation is answered 503. Nobody has more than half, so keep it above 102,000,000: a batch comes to 50 MB at most.
     */
    SYNC_QUEUE_MAX_BYTES: positive.default(128 * 1024 * 1024),

    /**
     * Bytes that requests may hold until they are answered, all together: bodies as they arrive, what is read of them,
     * records that wait for the log. Over its share of it an organisation is answered 503. A body takes three times its
     * size at most, and nobody has more than half, so keep it above six times PINGS_MAX_BODY_BYTES.
     */
    QUEUE_MAX_BYTES: positive.default(128 * 1024 * 1024),
  })
  .refine((config) => !config.OBJECT_STORE_URL?.startsWith('file:') || config.OBJECT_SIGNING_SECRET !== undefined, {
    message: 'a folder cannot give out links without it',
    path: ['OBJECT_SIGNING_SECRET'],
    // With all other problems, and not after them.
    when: () => true,
  });

export type Config = z.output<typeof configSchema>;

/** What may be stored, by plan. */
export const storageQuotas = (config: Config): Record<SubscriptionStatus, StorageLimits> => ({
  free: config.STORAGE_FREE,
  trial: config.STORAGE_TRIAL,
  pro: config.STORAGE_PRO,
  enterprise: config.STORAGE_ENTERPRISE,
});
