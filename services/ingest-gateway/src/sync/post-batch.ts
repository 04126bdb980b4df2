import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import type { Producer } from '@worktide/event-log';
import {
  AppError,
  type Authenticate,
  type Budget,
  bodyAborted,
  type Caller,
  createInFlight,
  createTurns,
  type Holding,
  type Metrics,
  ownedUuid,
  type RawContext,
  type RawRoute,
  type RequestLimit,
  requireVerified,
  sendJson,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import {
  type Codec,
  checkSyncEntry,
  isSyncProblem,
  maxSyncEntries,
  type RefusedSyncEntry,
  syncBatchBody,
  syncKeyOf,
  syncOutcome,
  type TakenSyncBatch,
  takenSyncBatch,
  topics,
} from '@worktide/schemas';
import { bodyKind, tooLarge } from '../items/read-body.ts';
import { linger } from '../linger.ts';
import { createEntryScanner, type ScannedEntry } from './entries.ts';
import { type Outcomes, waitPreferred } from './outcomes.ts';
import { createParts, type Parts } from './parts.ts';

export interface BatchDependencies {
  producer: Producer;
  /** Of topic `time-entry-syncs`. */
  codec: Codec;
  authenticate: Authenticate;
  /** Requests of one user to `/sync/*`. */
  limit: RequestLimit;
  /** Bytes that batches hold. */
  budget: Budget;
  /** Requests that wait for the outcome of their batch. */
  waits: Budget;
  /** Undefined where nobody can be asked. */
  outcomes: Outcomes | undefined;
  /** Aborted when the process is stopping: nobody is waited for any more. */
  stopping: AbortSignal;
  metrics: Metrics;
}

/** A batch that was judged, ready for the log. */
interface Judged {
  parts: Buffer[];
  accepted: number;
  refused: RefusedSyncEntry[];
}

const maxBodyBytes = 50_000_000;
/** Of one entry: thrice what its fields may come to. */
const maxEntryBytes = 65_536;
/** So much is judged in one go; then others have their turn. */
const sliceBytes = 16 * 1024;
/** What a request holds besides what was judged: the piece that has come, one entry, the record it goes into. */
const requestBytes = 768 * 1024;
/** Handed to the log at once, so that a large batch takes no more of its queue than others. */
const sendBytes = 1024 * 1024;
/** Batches of one user at once. */
const maxInFlight = 8;
const bodyTimeoutMs = 120_000;
/** Bytes a second. */
const minBodyRate = 8 * 1024;

const spec: RawRoute['spec'] = {
  method: 'post',
  path: '/api/v1/sync/batch',
  operationId: 'postSyncBatch',
  summary: 'Take time entries recorded offline',
  description:
    'At most 5,000 entries in 50,000,000 bytes, gzip allowed (its bytes count decompressed), an entry 64 KiB. Each is judged ' +
    'by itself; the answer comes when the log has them durably. A key is one entry of its user for ever, so sending a batch ' +
    'again is harmless. With `Prefer: wait=<seconds>` (30 at most) the outcome is waited for and answered 200; else, and where it ' +
    'is late, `GET /sync/batches/:id` has it.',
  tag: 'ingest',
  access: 'user',
  agents: true,
  body: syncBatchBody,
  requestHeaders: {
    Prefer: '`wait=<seconds>`: the outcome is waited for.',
    'Content-Encoding': '`gzip`, where the body is.',
  },
  responses: {
    200: {
      description: 'What has become of each entry; with `Prefer: wait` only.',
      schema: syncOutcome,
      headers: { 'Preference-Applied': '`wait=<seconds>`, as far as it was waited.' },
    },
    202: { description: 'The accepted entries are durable.', schema: takenSyncBatch },
  },
  alsoAnswers: {
    408: 'The body took longer than two minutes, or came more slowly than 8 KiB a second.',
    413: 'More than 50,000,000 bytes (`BODY_TOO_LARGE`) or than 5,000 entries (`TOO_MANY_ENTRIES`); nothing was taken.',
    429: 'More than 60 requests of the user to `/sync/*` in a minute, or too many batches at once.',
    503: 'More is arriving than can be held, or the log is away; try again.',
  },
};

/**
 * `POST /api/v1/sync/batch`: credential, limit, a verdict per entry while the body comes, the records when it is whole, 202.
 * Nothing of it is on the log before all of it was judged. Of the body there is never more in memory than one entry; what
 * is kept of the good ones is text, held on the organisation's share.
 */
export function postBatch(deps: BatchDependencies): RawRoute {
  const { producer, codec, authenticate, limit, budget, waits, outcomes, stopping, metrics } = deps;
  const acceptedEntries = metrics.counter(
    'worktide_sync_entries_accepted_total',
    'Offline entries on the log and answered.',
  );
  const rejected = metrics.counter('worktide_sync_entries_rejected_total', 'Offline entries refused, by code.', [
    'code',
  ]);
  const inFlight = createInFlight(
    maxInFlight,
    () =>
      new AppError('TOO_MANY_REQUESTS_IN_FLIGHT', 'Wait for the answers to your other requests.', { statusCode: 429 }),
  );

  /** Of organisations, on the processor: however many batches one sends, it has no more of it than others. */
  const turns = createTurns({ name: 'batches', places: 1, maxWaitingEach: 1_000, metrics, code: 'QUEUE_FULL' });

  async function judge(req: IncomingMessage, caller: Caller): Promise<{ judged: Judged; holding: Holding }> {
    const { format, gzip } = bodyKind(req, maxBodyBytes);
    if (format !== 'json') {
      throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json.', { statusCode: 415 });
    }
    const body = opened(req, gzip);
    // Ended from outside, it may still be read by nobody, or nobody any more.
    body.on('error', () => {});
    const holding = budget.take(caller.organizationId, requestBytes, (error) => {
      if (body.destroyed) return false;
      body.destroy(error);
      return true;
    });
    try {
      return { judged: await read(body, caller, holding), holding };
    } catch (error) {
      holding.release();
      throw gzip && isZlibError(error) ? malformed(error) : error;
    } finally {
      req.unpipe();
      body.destroy();
    }
  }

  async function read(body: Readable, caller: Caller, holding: Holding): Promise<Judged> {
    const scanner = createEntryScanner(maxEntryBytes);
    const parts = createParts();
    const context = { nowMs: Date.now(), timezone: caller.timezone };
    const refused: RefusedSyncEntry[] = [];
    let accepted = 0;
    let bytes = 0;

    function take(entry: ScannedEntry): void {
      const { index } = entry;
      if (index >= maxSyncEntries) throw tooMany();
      const checked = 'value' in entry ? checkSyncEntry(entry.value, index, context) : entryTooLarge;
      if (!isSyncProblem(checked)) {
        accepted++;
        parts.add(checked);
        return;
      }
      const { reason, code, message } = checked;
      const one = { index, idempotencyKey: syncKeyOf(entry.value) ?? null, reason, code, message };
      rejected.inc({ code });
      refused.push(one);
      parts.refuse(one);
    }

    async function judgePiece(piece: Buffer): Promise<void> {
      for (let from = 0; from < piece.length; from += sliceBytes) {
        for (const entry of scanner.push(piece.subarray(from, from + sliceBytes))) take(entry);
        holding.set(requestBytes + heldOf(parts, refused));
        await turnOfTheLoop();
      }
    }
    for await (const piece of body as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > maxBodyBytes) throw tooLarge(maxBodyBytes);
      // What has come, and not the body: who sends slowly keeps nobody waiting.
      await turns.run(caller.organizationId, () => judgePiece(piece), { cost: piece.length });
    }
    scanner.end();
    return { parts: parts.finish(), accepted, refused };
  }

  /** In order, so that the entries of a batch are applied in theirs; what has gone is no longer held. */
  async function send(caller: Caller, requestId: string, batchId: string, { parts }: Judged, holding: Holding) {
    const { organizationId, userId } = caller;
    const envelope = { organizationId, userId, batchId, parts: parts.length, receivedAt: Date.now(), requestId };
    let left = parts.reduce((sum, { length }) => sum + length, 0);
    for (let next = 0; next < parts.length; ) {
      const records = [];
      for (let bytes = 0; next < parts.length && (bytes === 0 || bytes + parts[next]!.length <= sendBytes); next++) {
        const part = parts[next]!;
        parts[next] = nothing;
        bytes += part.length;
        left -= part.length;
        const value = codec.encode({ ...envelope, part: next, ...JSON.parse(part.toString()) });
        records.push({ key: userId, value });
      }
      await producer.send(topics['time-entry-syncs'].name, records, organizationId);
      holding.set(requestBytes + left);
    }
  }

  async function take(req: IncomingMessage, caller: Caller, requestId: string): Promise<TakenSyncBatch> {
    // Nothing to wait for but at the first request, or when the registry was away until now.
    await codec.prepare();
    const { judged, holding } = await judge(req, caller);
    const batchId = ownedUuid(userSubject(caller));
    try {
      await send(caller, requestId, batchId, judged, holding);
    } finally {
      holding.release();
    }
    acceptedEntries.inc(judged.accepted);
    return { batchId, accepted: judged.accepted, rejected: judged.refused };
  }

  /** @returns the outcome, where it was to be waited for and has come. */
  async function outcomeOf(
    req: IncomingMessage,
    res: ServerResponse,
    caller: Caller,
    batchId: string,
    requestId: string,
  ) {
    const seconds = waitPreferred(req);
    if (!seconds || !outcomes || stopping.aborted) return undefined;
    let place: Holding | undefined;
    const gone = new AbortController();
    const onClose = (): void => gone.abort();
    try {
      place = waits.take(caller.organizationId, 1);
      res.once('close', onClose);
      const signal = AbortSignal.any([gone.signal, stopping]);
      const authorization = req.headers.authorization ?? '';
      const outcome = await outcomes.ask(batchId, { seconds, authorization, requestId, signal });
      res.setHeader('preference-applied', `wait=${seconds}`);
      return outcome;
    } catch (error) {
      // Too many of the organisation wait already: it is told that it was taken, and asks later.
      if (error instanceof AppError) return undefined;
      throw error;
    } finally {
      res.off('close', onClose);
      place?.release();
    }
  }

  async function answer(req: IncomingMessage, res: ServerResponse, { requestId, sender }: RawContext): Promise<void> {
    const caller = await authenticate(req.headers.authorization, sender);
    requireVerified(caller);
    await takeLimit(res, limit, userSubject(caller));
    const leave = inFlight.enter(userSubject(caller));
    try {
      const taken = await take(req, caller, requestId);
      const outcome = await outcomeOf(req, res, caller, taken.batchId, requestId);
      if (outcome) sendJson(res, 200, outcome);
      else sendJson(res, 202, taken);
    } finally {
      leave();
    }
  }

  return {
    spec: { ...spec, userLimit: limit },
    bodyTimeoutMs,
    minBodyRate,
    async handle(req, res, context) {
      try {
        await answer(req, res, context);
      } catch (error) {
        linger(req);
        throw error;
      }
    },
  };
}

const nothing = Buffer.alloc(0);

/** The body as it is meant. Its end before its time is an error of this stream. */
function opened(req: IncomingMessage, gzip: boolean): Readable {
  const body = gzip ? createGunzip() : new PassThrough();
  const broken = (): void => {
    if (!req.readableEnded) body.destroy(bodyAborted());
  };
  req.once('close', broken);
  req.once('error', broken);
  body.once('close', () => req.off('close', broken).off('error', broken));
  if (req.destroyed) broken();
  else req.pipe(body);
  return body;
}

/** Of what is kept until the answer: the records, and what is told of those refused. */
const heldOf = (parts: Parts, refused: readonly RefusedSyncEntry[]): number => parts.bytes + 500 * refused.length;

const isZlibError = (error: unknown): boolean => String((error as NodeJS.ErrnoException | null)?.code).startsWith('Z_');

const malformed = (cause: unknown): AppError =>
  new AppError('MALFORMED_BODY', 'The body is not valid gzip.', { statusCode: 400, cause });

const tooMany = (): AppError =>
  new AppError('TOO_MANY_ENTRIES', `At most ${maxSyncEntries} entries a batch; nothing of this one was taken.`, {
    statusCode: 413,
  });

const entryTooLarge = {
  reason: 'invalid',
  code: 'ENTRY_TOO_LARGE',
  message: `An entry has at most ${maxEntryBytes} bytes.`,
} as const;
