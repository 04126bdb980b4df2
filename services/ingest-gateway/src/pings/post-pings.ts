import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Producer } from '@worktide/event-log';
import {
  AppError,
  type Authenticate,
  type Budget,
  type Caller,
  createTurns,
  type Holding,
  type Metrics,
  type RawRoute,
  requireVerified,
  sendJson,
  userSubject,
} from '@worktide/runtime';
import { type Codec, type PingLimits, pingsAnswer, pingsBody, type Rejection, topics } from '@worktide/schemas';
import type { Config } from '../config.ts';
import { createInFlight } from '../in-flight.ts';
import type { Stored } from '../storage/stored.ts';
import { createJudge, type Judged, withoutSome } from './judge.ts';
import { type PingQuota, pingsIn } from './quota.ts';
import {
  type BodyKind,
  bodyKind,
  type Endable,
  endable,
  inflate,
  inflatedSize,
  readBody,
  withoutMark,
} from './read-body.ts';
import { type Item, readLarge, readSmall } from './read-items.ts';
import { encodeRecords } from './records.ts';
import { type Streams, streamOf } from './streams.ts';

interface Dependencies {
  config: Config;
  producer: Producer;
  codec: Codec;
  authenticate: Authenticate;
  quota: PingQuota;
  stored: Pick<Stored, 'requirePings' | 'addPings'>;
  streams: Streams;
  /** Bytes that requests hold. */
  budget: Budget;
  metrics: Metrics;
}

/** What is left of a request when it goes to the log. */
interface Prepared {
  values: Buffer[];
  /** Of `values`. */
  bytes: number;
  accepted: number;
  bad: Rejection[];
  warnings: Rejection[];
}

const spec: RawRoute['spec'] = {
  method: 'post',
  path: '/api/v1/pings',
  operationId: 'postPings',
  summary: 'Take pings',
  description:
    'One ping, an array, or NDJSON (`application/x-ndjson`), gzip allowed. Answered once the log has the good pings durably; ' +
    'each bad one is named by its index with a code and does not touch the others. A title that is cut and a URL that is left ' +
    'out cost no ping: `warnings` names them. Sending a ping again is harmless.',
  tag: 'ingest',
  access: 'user',
  agents: true,
  body: pingsBody,
  contentTypes: ['application/x-ndjson', 'application/ndjson'],
  responses: { 202: { description: 'The accepted pings are durable.', schema: pingsAnswer } },
  alsoAnswers: {
    409: '`STORAGE_QUOTA_EXCEEDED`: the plan of the organization takes no more pings this month.',
    429:
      'More pings than the plan of the organization takes (a request counts as one ping for each 1,000 bytes, decompressed, ' +
      'where that is more than it has), or too many requests of the user at once; nothing of the request was taken.',
  },
};

/** What a request holds of its organisation's share, and what it does while others may need that. */
interface Held {
  holding: Holding;
  reading: Endable;
}

/** What a request takes besides its body. */
const requestBytes = 4_096;
/** Of large bodies so much is read in one go; then others have their turn. Some hundred pings, about a millisecond. */
const sliceBytes = 32 * 1024;
/** Of small bodies so many items are judged in one go; of pings hardly more fit into one. */
const itemsAtOnce = 100;
/** Of the body, for one record: with what each ping is given besides, it stays below `maxRecordBytes`. */
const recordSliceBytes = 160 * 1024;

/**
 * `POST /api/v1/pings`: credential, body, quota, verdict per ping, one record on the log, 202. A raw route: this is the
 * path the fleet takes every few seconds, and Express would be a third of its cost.
 *
 * Everything that a request holds is held on its organisation's share until it is answered. A body that is larger than
 * one ping may be is read in slices, one body at a time, by turns between organisations: the small ones pass it by.
 */
export function postPings(deps: Dependencies): RawRoute {
  const { config, producer, codec, authenticate, quota, stored, streams, budget, metrics } = deps;
  const limits: PingLimits = {
    maxAppLength: config.PINGS_MAX_APP_LENGTH,
    maxTitleLength: config.PINGS_MAX_TITLE_LENGTH,
    maxUrlLength: config.PINGS_MAX_URL_LENGTH,
    maxDurationMs: config.PINGS_MAX_DURATION_SECONDS * 1000,
    maxAgeMs: config.PINGS_MAX_AGE_DAYS * 86_400_000,
    maxFutureMs: config.PINGS_MAX_FUTURE_SECONDS * 1000,
  };
  const maxBodyBytes = config.PINGS_MAX_BODY_BYTES;
  const itemLimits = { maxItems: config.PINGS_MAX_PER_REQUEST, maxItemBytes: config.PING_MAX_BYTES };
  const acceptedPings = metrics.counter('worktide_pings_accepted_total', 'Pings on the log and answered 202.');
  const rejected = metrics.counter('worktide_pings_rejected_total', 'Pings refused, by code.', ['code']);
  const warned = metrics.counter('worktide_pings_warnings_total', 'Titles cut and URLs left out, by code.', ['code']);
  const refused = metrics.counter(
    'worktide_pings_backpressure_total',
    'Requests answered 503 because a queue was full.',
  );
  const inFlight = createInFlight(
    config.PINGS_MAX_IN_FLIGHT,
    () =>
      new AppError('TOO_MANY_REQUESTS_IN_FLIGHT', 'Wait for the answers to your other requests.', { statusCode: 429 }),
  );
  const turns = createTurns({ name: 'large bodies', places: 1, maxWaitingEach: 1_000, metrics, code: 'QUEUE_FULL' });

  /** Reads a body, judges what is in it and counts it. */
  async function judge(
    req: IncomingMessage,
    res: ServerResponse,
    caller: Caller,
    { holding, reading }: Held,
  ): Promise<Judged> {
    const { organizationId } = caller;
    const { format, gzip } = bodyKind(req, maxBodyBytes);
    const raw = await readBody(req, maxBodyBytes, (arrived) => holding.set(requestBytes + arrived), reading);
    const bytes = gzip ? inflatedSize(raw, maxBodyBytes) : raw.length;
    const open = async (): Promise<Buffer> => {
      // As much again for what is read of it.
      holding.grow(gzip ? 2 * bytes : bytes);
      return withoutMark(gzip ? await inflate(raw, bytes) : raw);
    };
    if (bytes <= config.PING_MAX_BYTES) {
      const items = readSmall(await open(), format, itemLimits);
      // Before they are judged, and bad ones too: a thousand of them fit into a few bytes, and each costs a look.
      await quota.take(res, organizationId, Math.max(pingsIn(bytes), items.length));
      return judgeSmall(items, caller);
    }
    await quota.expect(organizationId, pingsIn(bytes));
    const work = async (): Promise<Judged> => judgeLarge(await open(), format, caller);
    const judged = await turns.run(organizationId, work, { cost: bytes }).catch(async (error: unknown) => {
      // Refused for what is in it: it was looked at all the same.
      if (error instanceof AppError && error.statusCode < 500) await quota.take(res, organizationId, pingsIn(bytes));
      throw error;
    });
    await quota.take(res, organizationId, Math.max(pingsIn(bytes), judged.good.length + judged.bad.length));
    return judged;
  }

  async function judgeSmall(items: Item[], caller: Caller): Promise<Judged> {
    const { take, judged } = createJudge(caller, limits);
    for (const [i, item] of items.entries()) {
      if (i > 0 && i % itemsAtOnce === 0) await turnOfTheLoop();
      take(item);
    }
    return judged;
  }

  async function judgeLarge(body: Buffer, format: BodyKind['format'], caller: Caller): Promise<Judged> {
    const { take, judged } = createJudge(caller, limits);
    let left = sliceBytes;
    for (const item of readLarge(body, format, itemLimits)) {
      take(item, item.bytes);
      left -= item.bytes;
      if (left > 0) continue;
      left = sliceBytes;
      await turnOfTheLoop();
    }
    return judged;
  }

  async function refuseStrangers(caller: Caller, judged: Judged): Promise<Judged> {
    const unknown = streams.unknown(caller, judged.good);
    if (!unknown) return judged;
    const tooMany = await streams.admit(caller, unknown);
    if (tooMany.size === 0) return judged;
    return withoutSome(judged, (ping) => tooMany.has(streamOf(ping)), {
      code: 'TOO_MANY_DEVICES',
      message: `A user has at most ${config.PINGS_MAX_STREAMS} devices and sources.`,
    });
  }

  /** All but the sending. A function of its own, so that nothing of body and pings is kept while the log is waited for. */
  async function prepare(req: IncomingMessage, res: ServerResponse, caller: Caller, held: Held): Promise<Prepared> {
    const { good, goodBytes, bad, warnings } = await refuseStrangers(caller, await judge(req, res, caller, held));
    for (const { code } of bad) rejected.inc({ code });
    for (const { code } of warnings) warned.inc({ code });
    if (good.length === 0) throw allBad(bad);
    // Nothing to wait for but at the first request, or when the registry was away until now.
    await codec.prepare();
    const envelope = { organizationId: caller.organizationId, userId: caller.userId, receivedAt: Date.now() };
    const values: Buffer[] = [];
    const step = Math.ceil(good.length / Math.max(1, Math.ceil(goodBytes / recordSliceBytes)));
    for (let from = 0; from < good.length; from += step) {
      if (from > 0) await turnOfTheLoop();
      values.push(...encodeRecords(envelope, good.slice(from, from + step), codec.encode));
    }
    const bytes = values.reduce((sum, value) => sum + value.length, 0);
    held.holding.set(requestBytes + bytes);
    return { values, bytes, accepted: good.length, bad, warnings };
  }

  async function take(req: IncomingMessage, res: ServerResponse, caller: Caller): Promise<void> {
    stored.requirePings(caller.organizationId);
    const leave = inFlight.enter(userSubject(caller));
    let holding: Holding | undefined;
    try {
      const reading = endable();
      holding = budget.take(caller.organizationId, requestBytes, (error) => reading.giveUp(error));
      const { values, bytes, accepted, bad, warnings } = await prepare(req, res, caller, { holding, reading });
      const records = values.map((value) => ({ key: caller.userId, value }));
      await producer.send(topics.pings.name, records, caller.organizationId);
      acceptedPings.inc(accepted);
      stored.addPings(caller.organizationId, bytes);
      sendJson(res, 202, { accepted, rejected: bad, ...(warnings.length > 0 ? { warnings } : {}) });
    } catch (error) {
      if (error instanceof AppError && error.code === 'QUEUE_FULL') refused.inc();
      throw error;
    } finally {
      holding?.release();
      leave();
    }
  }

  return {
    spec,
    async handle(req, res, { sender }) {
      const caller = await authenticate(req.headers.authorization, sender);
      requireVerified(caller);
      await take(req, res, caller);
    },
  };
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
