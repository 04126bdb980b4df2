import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Producer } from '@worktide/event-log';
import type { CompiledPrivacy, PrivacyGuard } from '@worktide/privacy';
import {
  AppError,
  type Authenticate,
  type Budget,
  type Caller,
  createInFlight,
  createTurns,
  type Holding,
  type Metrics,
  type RawRoute,
  requireVerified,
  sendJson,
  type Turns,
  userSubject,
} from '@worktide/runtime';
import type { Rejection } from '@worktide/schemas';
import { type PingQuota, pingsIn } from '@worktide/service';
import type { Config } from '../config.ts';
import { type Streams, streamKey } from '../pings/streams.ts';
import type { Stored } from '../storage/stored.ts';
import { createJudge, type Judged, withoutSome } from './judge.ts';
import type { ItemKind } from './kind.ts';
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

export interface ItemDependencies {
  config: Config;
  producer: Producer;
  authenticate: Authenticate;
  privacy: PrivacyGuard;
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
/** Of the body, for one record: with what each item is given besides, it stays below `maxRecordBytes`. */
const recordSliceBytes = 160 * 1024;

/** Makes the routes that take items, all of them on the same shares and in the same turns. */
export type PostItems = <T extends object>(kind: ItemKind<T>) => RawRoute;

/**
 * Routes that take items: credential, body, quota, verdict per item, one record on the log, 202. Raw routes: `/pings` is
 * the path the fleet takes every few seconds, and Express would be a third of its cost.
 *
 * Everything that a request holds is held on its organisation's share until it is answered. A body that is larger than
 * one item may be is read in slices, one body at a time, by turns between organisations: the small ones pass it by.
 */
export function createPostItems(deps: ItemDependencies): PostItems {
  const { config, authenticate, budget, metrics } = deps;
  const refused = metrics.counter(
    'worktide_ingest_backpressure_total',
    'Requests of pings or input counts answered 503 because a queue was full.',
    ['topic'],
  );
  const inFlight = createInFlight(
    config.PINGS_MAX_IN_FLIGHT,
    () =>
      new AppError('TOO_MANY_REQUESTS_IN_FLIGHT', 'Wait for the answers to your other requests.', { statusCode: 429 }),
  );
  const turns = createTurns({ name: 'large bodies', places: 1, maxWaitingEach: 1_000, metrics, code: 'QUEUE_FULL' });

  return (kind) => {
    const prepare = preparing(deps, kind, turns);

    async function take(req: IncomingMessage, res: ServerResponse, caller: Caller): Promise<void> {
      deps.stored.requirePings(caller.organizationId);
      const leave = inFlight.enter(userSubject(caller));
      let holding: Holding | undefined;
      try {
        const reading = endable();
        holding = budget.take(caller.organizationId, requestBytes, (error) => reading.giveUp(error));
        const { values, bytes, accepted, bad, warnings } = await prepare(req, res, caller, { holding, reading });
        const records = values.map((value) => ({ key: caller.userId, value }));
        // Nothing, where none of it may be kept.
        if (records.length > 0) await deps.producer.send(kind.topic, records, caller.organizationId);
        kind.metrics.accepted.inc(accepted);
        deps.stored.addPings(caller.organizationId, bytes);
        sendJson(res, 202, { accepted, rejected: bad, ...(warnings.length > 0 ? { warnings } : {}) });
      } catch (error) {
        if (error instanceof AppError && error.code === 'QUEUE_FULL') refused.inc({ topic: kind.topic });
        throw error;
      } finally {
        holding?.release();
        leave();
      }
    }

    return {
      spec: kind.spec,
      async handle(req, res, { sender }) {
        const caller = await authenticate(req.headers.authorization, sender);
        requireVerified(caller);
        await take(req, res, caller);
      },
    };
  };
}

/** All but the sending. A function of its own, so that nothing of body and items is kept while the log is waited for. */
function preparing<T extends object>(deps: ItemDependencies, kind: ItemKind<T>, turns: Turns) {
  const { config, privacy, quota, streams } = deps;
  const { codec, limits, maxBodyBytes, streamOf } = kind;

  /** Reads a body, judges what is in it and counts it. */
  async function judge(
    req: IncomingMessage,
    res: ServerResponse,
    caller: Caller,
    { holding, reading }: Held,
  ): Promise<Judged<T>> {
    const { organizationId } = caller;
    const { format, gzip } = bodyKind(req, maxBodyBytes);
    const raw = await readBody(req, maxBodyBytes, (arrived) => holding.set(requestBytes + arrived), reading);
    const bytes = gzip ? inflatedSize(raw, maxBodyBytes) : raw.length;
    const open = async (): Promise<Buffer> => {
      // As much again for what is read of it.
      holding.grow(gzip ? 2 * bytes : bytes);
      return withoutMark(gzip ? await inflate(raw, bytes) : raw);
    };
    if (bytes <= limits.maxItemBytes) {
      const items = readSmall(await open(), format, limits);
      // Before they are judged, and bad ones too: a thousand of them fit into a few bytes, and each costs a look.
      await quota.take(res, organizationId, Math.max(pingsIn(bytes), items.length));
      return judgeSmall(items, caller, await privacy.of(caller));
    }
    await quota.expect(organizationId, pingsIn(bytes));
    // As they are when its turn comes.
    const work = async (): Promise<Judged<T>> => judgeLarge(await open(), format, caller, await privacy.of(caller));
    const judged = await turns.run(organizationId, work, { cost: bytes }).catch(async (error: unknown) => {
      // Refused for what is in it: it was looked at all the same.
      if (error instanceof AppError && error.statusCode < 500) await quota.take(res, organizationId, pingsIn(bytes));
      throw error;
    });
    await quota.take(res, organizationId, Math.max(pingsIn(bytes), judged.accepted + judged.bad.length));
    return judged;
  }

  async function judgeSmall(items: Item[], caller: Caller, rules: CompiledPrivacy): Promise<Judged<T>> {
    const { take, judged } = createJudge(caller, kind, rules);
    for (const [i, item] of items.entries()) {
      if (i > 0 && i % itemsAtOnce === 0) await turnOfTheLoop();
      take(item);
    }
    return judged;
  }

  async function judgeLarge(
    body: Buffer,
    format: BodyKind['format'],
    caller: Caller,
    rules: CompiledPrivacy,
  ): Promise<Judged<T>> {
    const { take, judged } = createJudge(caller, kind, rules);
    let left = sliceBytes;
    for (const item of readLarge(body, format, limits)) {
      take(item, item.bytes);
      left -= item.bytes;
      if (left > 0) continue;
      left = sliceBytes;
      await turnOfTheLoop();
    }
    return judged;
  }

  async function refuseStrangers(caller: Caller, judged: Judged<T>): Promise<Judged<T>> {
    const unknown = streams.unknown(caller, judged.good, streamOf);
    if (!unknown) return judged;
    const tooMany = await streams.admit(caller, unknown);
    if (tooMany.size === 0) return judged;
    return withoutSome(judged, (item) => tooMany.has(streamKey(streamOf(item))), {
      code: 'TOO_MANY_DEVICES',
      message: `A user has at most ${config.PINGS_MAX_STREAMS} devices and sources.`,
    });
  }

  return async (req: IncomingMessage, res: ServerResponse, caller: Caller, held: Held): Promise<Prepared> => {
    const { good, goodBytes, accepted, taken, bad, warnings } = await refuseStrangers(
      caller,
      await judge(req, res, caller, held),
    );
    for (const { code } of bad) kind.metrics.rejected.inc({ code });
    for (const { code } of warnings) kind.metrics.warned?.inc({ code });
    if (accepted === 0) throw kind.allBad(bad);
    privacy.taken(taken);
    // Nothing to wait for but at the first request, or when the registry was away until now.
    await codec.prepare();
    const envelope = { organizationId: caller.organizationId, userId: caller.userId, receivedAt: Date.now() };
    const encode = (items: T[]): Buffer => codec.encode(kind.recordOf(envelope, items));
    const values: Buffer[] = [];
    const step = Math.ceil(good.length / Math.max(1, Math.ceil(goodBytes / recordSliceBytes)));
    for (let from = 0; from < good.length; from += step) {
      if (from > 0) await turnOfTheLoop();
      values.push(...encodeRecords(good.slice(from, from + step), encode));
    }
    const bytes = values.reduce((sum, value) => sum + value.length, 0);
    held.holding.set(requestBytes + bytes);
    return { values, bytes, accepted, bad, warnings };
  };
}
