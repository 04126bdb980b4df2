import { openObjectStore } from '@worktide/object-store';
import { createPrivacyGuard } from '@worktide/privacy';
import { createBudget, type Lifecycle, type Logger, type Metrics, type Service } from '@worktide/runtime';
import { createCodec, topics } from '@worktide/schemas';
import { createPingQuota, openIdentity, openShared, pingQuotas } from '@worktide/service';
import { activityItems } from './activity/post-activity.ts';
import { type Config, storageQuotas } from './config.ts';
import { createPostItems } from './items/post-items.ts';
import { pingItems } from './pings/post-pings.ts';
import { createStreams } from './pings/streams.ts';
import { storageRoute } from './storage/route.ts';
import { createStored } from './storage/stored.ts';
import { createOutcomes } from './sync/outcomes.ts';
import { postBatch } from './sync/post-batch.ts';
import { createAnnouncer, createUploadMetrics } from './uploads/announce.ts';
import { minUploadRate, postScreenshot } from './uploads/post-screenshot.ts';
import { signedUploads } from './uploads/signed.ts';
import { createSlots } from './uploads/slots.ts';

/** Requests that may wait for the outcome of their batch, of one organisation half of them. */
const maxWaits = 1_000;

/** Builds the gateway top to bottom; what is built first is closed last. */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared('ingest-gateway', config, deps);
  const { eventLog, registry, keyValue, limits } = shared;

  const producer = eventLog.producer({ maxQueuedBytes: config.QUEUE_MAX_BYTES });
  lifecycle.onClose('producer', () => producer.close());

  const codec = createCodec(registry, topics.pings);
  // So that the first request need not; where the registry is away, readiness says so and requests ask again.
  codec.prepare().catch(() => {});
  const minutesCodec = createCodec(registry, topics['input-minutes']);
  minutesCodec.prepare().catch(() => {});
  const syncCodec = createCodec(registry, topics['time-entry-syncs']);
  syncCodec.prepare().catch(() => {});

  const identity = openIdentity(config, shared, deps);

  const privacy = createPrivacyGuard({ organization: identity.organization, metrics });

  const quota = createPingQuota({ limits, quotas: pingQuotas(config), planOf: identity.planOf, metrics });

  const stored = createStored({
    keyValue,
    quotas: storageQuotas(config),
    planOf: identity.planOf,
    metrics,
    lifecycle,
    log,
  });
  const streams = createStreams({ keyValue, max: config.PINGS_MAX_STREAMS });
  const budget = createBudget({
    name: 'requests',
    total: config.QUEUE_MAX_BYTES,
    metrics,
    code: 'QUEUE_FULL',
    message: 'More is arriving than can be stored; try again.',
  });

  const { authenticate } = identity;
  const postItems = createPostItems({
    config,
    producer,
    authenticate,
    privacy,
    quota,
    stored,
    streams,
    budget,
    metrics,
  });
  const syncLimit = limits.window({ name: 'sync', points: config.SYNC_LIMIT_PER_MINUTE, seconds: 60 });
  const batches = postBatch({
    producer,
    codec: syncCodec,
    authenticate,
    limit: syncLimit,
    budget: createBudget({
      name: 'batches',
      total: config.SYNC_QUEUE_MAX_BYTES,
      metrics,
      code: 'QUEUE_FULL',
      message: 'More is arriving than can be stored; try again.',
    }),
    waits: createBudget({ name: 'waits', total: maxWaits, metrics }),
    outcomes: config.WRITER_URL ? createOutcomes({ writerUrl: config.WRITER_URL, metrics, log }) : undefined,
    stopping: lifecycle.signal,
    metrics,
  });

  const slots = createSlots(config.UPLOADS_MAX, metrics);
  const store = openObjectStore(config.OBJECT_STORE_URL, {
    log,
    metrics,
    admit: slots.admit,
    ...(config.OBJECT_SIGNING_SECRET ? { signingSecret: config.OBJECT_SIGNING_SECRET } : {}),
    ...(config.PUBLIC_URL ? { publicUrl: config.PUBLIC_URL } : {}),
  });
  lifecycle.onClose('object store', () => store.close());
  const screenshotCodec = createCodec(registry, topics.screenshots);
  screenshotCodec.prepare().catch(() => {});
  const uploading = {
    config,
    store,
    announcer: createAnnouncer({ producer, codec: screenshotCodec }),
    privacy,
    limit: syncLimit,
    uploads: createUploadMetrics(metrics),
    stored,
  };

  return {
    name: 'ingest-gateway',
    routes: [...signedUploads(uploading), storageRoute(stored)],
    rawRoutes: [
      postItems(pingItems({ config, codec, metrics })),
      postItems(activityItems({ config, codec: minutesCodec, metrics })),
      batches,
      postScreenshot({ ...uploading, authenticate, slots }),
      // Where the store is a folder: its signed URLs are served here, with the bounds that an upload has.
      ...store.routes.map((own) => ({
        ...own,
        bodyTimeoutMs: config.UPLOAD_TIMEOUT_SECONDS * 1_000,
        minBodyRate: minUploadRate,
      })),
    ],
    checks: {
      'event log': () => eventLog.check(),
      'schema registry': async () => {
        await Promise.all([codec.prepare(), minutesCodec.prepare(), syncCodec.prepare()]);
      },
      auth: identity.check,
    },
    // Without it no screenshot is taken (503), but pings are: a gateway out of rotation would take neither.
    sideChecks: { ...shared.sideChecks, 'object store': () => store.check() },
    authenticate,
    ipLimit: shared.ipLimit,
    internalToken: config.INTERNAL_TOKEN,
  };
}
