import type { Producer } from '@worktide/event-log';
import { AppError, type Authenticate, type Caller, type Metrics, type RawRoute, sendJson } from '@worktide/runtime';
import {
  type Codec,
  checkPing,
  isProblem,
  type PingEvent,
  type PingLimits,
  pingsAnswer,
  pingsBody,
  type Rejection,
  topics,
} from '@worktide/schemas';
import type { Config } from '../config.ts';
import type { Stored } from '../storage/stored.ts';
import type { PingQuota } from './quota.ts';
import { bodyFormat, type Item, readBody, readItems } from './read-items.ts';
import { encodeRecords } from './records.ts';

interface Dependencies {
  config: Config;
  producer: Producer;
  codec: Codec;
  authenticate: Authenticate;
  quota: PingQuota;
  stored: Pick<Stored, 'requirePings' | 'addPings'>;
  metrics: Metrics;
}

const spec: RawRoute['spec'] = {
  method: 'post',
  path: '/api/v1/pings',
  operationId: 'postPings',
  summary: 'Take pings',
  description:
    'One ping, an array, or NDJSON (`application/x-ndjson`), gzip allowed. Answered once the log has the good pings durably; ' +
    'each bad one is named by its index with a code and does not touch the others. Sending a ping again is harmless.',
  tag: 'ingest',
  access: 'user',
  agents: true,
  body: pingsBody,
  contentTypes: ['application/x-ndjson'],
  responses: { 202: { description: 'The accepted pings are durable.', schema: pingsAnswer } },
  alsoAnswers: {
    409: '`STORAGE_QUOTA_EXCEEDED`: the plan of the organization takes no more pings this month.',
    429: 'More pings than the plan of the organization takes; nothing of the request was taken.',
  },
};

/**
 * `POST /api/v1/pings`: credential, body, quota, verdict per ping, one record on the log, 202. A raw route: this is the
 * path the fleet takes every few seconds, and Express would be a third of its cost.
 */
export function postPings({ config, producer, codec, authenticate, quota, stored, metrics }: Dependencies): RawRoute {
  const limits: PingLimits = {
    maxAppLength: config.PINGS_MAX_APP_LENGTH,
    maxTitleLength: config.PINGS_MAX_TITLE_LENGTH,
    maxUrlLength: config.PINGS_MAX_URL_LENGTH,
    maxDurationMs: config.PINGS_MAX_DURATION_SECONDS * 1000,
    maxAgeMs: config.PINGS_MAX_AGE_DAYS * 86_400_000,
    maxFutureMs: config.PINGS_MAX_FUTURE_SECONDS * 1000,
  };
  const accepted = metrics.counter('worktide_pings_accepted_total', 'Pings on the log and answered 202.');
  const rejected = metrics.counter('worktide_pings_rejected_total', 'Pings refused, by code.', ['code']);
  const refused = metrics.counter(
    'worktide_pings_backpressure_total',
    'Requests answered 503 because a queue was full.',
  );
  let heldBytes = 0;

  async function takeBody(req: Parameters<RawRoute['handle']>[0], caller: Caller): Promise<Item[]> {
    const format = bodyFormat(req.headers['content-type']);
    // A chunked body may grow to the limit, so it counts as that.
    const size = Math.min(
      Number(req.headers['content-length'] ?? config.PINGS_MAX_BODY_BYTES),
      config.PINGS_MAX_BODY_BYTES,
    );
    if (heldBytes + size > config.BODIES_MAX_BYTES || producer.queuedBytes + size > config.QUEUE_MAX_BYTES) {
      refused.inc();
      throw new AppError('QUEUE_FULL', 'More is arriving than can be stored; try again.', {
        statusCode: 503,
        cause: `queues full (organization ${caller.organizationId})`,
      });
    }
    heldBytes += size;
    try {
      return readItems(await readBody(req, config.PINGS_MAX_BODY_BYTES), format, config.PINGS_MAX_PER_REQUEST);
    } finally {
      heldBytes -= size;
    }
  }

  return {
    spec,
    async handle(req, res, { sender }) {
      const caller = await authenticate(req.headers.authorization, sender);
      stored.requirePings(caller.organizationId);
      const items = await takeBody(req, caller);
      // Bad pings count too: they cost as much to look at.
      await quota.take(res, caller.organizationId, items.length);
      const { good, bad } = judge(items, caller, limits);
      for (const { code } of bad) rejected.inc({ code });
      if (good.length === 0) throw allBad(bad);

      // Nothing to wait for but at the first request, or when the registry was away until now.
      await codec.prepare();
      const envelope = { organizationId: caller.organizationId, userId: caller.userId, receivedAt: Date.now() };
      const values = encodeRecords(envelope, good, codec.encode);
      await producer
        .send(
          topics.pings.name,
          values.map((value) => ({ key: caller.userId, value })),
        )
        .catch((error: unknown) => {
          if (error instanceof AppError && error.code === 'QUEUE_FULL') refused.inc();
          throw error;
        });
      accepted.inc(good.length);
      stored.addPings(
        caller.organizationId,
        values.reduce((sum, value) => sum + value.length, 0),
      );
      sendJson(res, 202, { accepted: good.length, rejected: bad });
    },
  };
}

function judge(items: Item[], caller: Caller, limits: PingLimits): { good: PingEvent[]; bad: Rejection[] } {
  const good: PingEvent[] = [];
  const bad: Rejection[] = [];
  // A login without a device is told apart from others by its session.
  const deviceId = caller.deviceId ?? caller.sessionId ?? caller.userId;
  const context = { nowMs: Date.now(), deviceId, limits };
  for (const [index, item] of items.entries()) {
    const checked = 'problem' in item ? item.problem : checkPing(item.value, context);
    if (!isProblem(checked)) {
      good.push(checked);
      continue;
    }
    const id = 'value' in item ? (item.value as { id?: unknown } | null)?.id : undefined;
    bad.push({ index, ...(typeof id === 'string' ? { id: id.slice(0, 64) } : {}), ...checked });
  }
  return { good, bad };
}

/** 400 with a detail for each ping; the code is the pings' own where they agree. */
function allBad(bad: Rejection[]): AppError {
  const codes = new Set(bad.map((b) => b.code));
  const [only] = codes;
  const code = codes.size === 1 && only ? only : 'ALL_PINGS_REJECTED';
  const message = bad.length === 1 ? bad[0]!.message : 'Every ping of the request was refused.';
  return new AppError(code, message, {
    statusCode: 400,
    details: bad.map(({ index, code: c, message: m }) => ({ index, code: c, message: m })),
  });
}
