import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { AddressRules } from './addresses.ts';
import { DeliveryFailure, findTarget, type Resolve, type Target } from './resolve.ts';

export interface SendTerms {
  rules: AddressRules;
  /** Plain http, to allowed ranges. */
  allowHttp: boolean;
  resolve: Resolve;
  /** Of all of it: the name, the connection, the request and the answer. */
  timeoutMs: number;
  /** Whom to trust beside the authorities of this process, for tests. */
  ca?: string | undefined;
}

/** What became of one try. */
export interface Outcome {
  statusCode: number | null;
  /** As much of the answer as is kept; null where there was none. */
  answer: string | null;
  /** Null where it was taken. */
  failure: { code: string; message: string } | null;
  durationMs: number;
}

/** Kept of an answer; the rest is not read. */
export const maxAnswerBytes = 65_536;

/**
 * Sends one delivery: to the addresses that were looked at and no others, with no redirect followed, on a connection of its own.
 * Never rejects.
 * @param signal ends it; what became of it is then not known.
 */
export async function send(
  terms: SendTerms,
  { url, headers, body }: { url: string; headers: Record<string, string>; body: string },
  signal: AbortSignal,
): Promise<Outcome> {
  const startedAt = performance.now();
  const over = AbortSignal.timeout(terms.timeoutMs);
  const ended = AbortSignal.any([over, signal]);
  let answer: Answer | undefined;
  let failure: DeliveryFailure | undefined;
  try {
    const target = await untilAborted(findTarget(url, terms, ended), ended);
    answer = await post(target, { headers, body, ca: terms.ca }, ended);
    failure = judge(answer.statusCode);
  } catch (error) {
    failure = over.aborted
      ? new DeliveryFailure('TIMEOUT', `There was no whole answer within ${terms.timeoutMs / 1_000} s.`)
      : failureOf(error);
  }
  return {
    statusCode: answer?.statusCode ?? null,
    answer: answer?.text ?? null,
    failure: failure ? { code: failure.code, message: failure.message } : null,
    durationMs: Math.round(performance.now() - startedAt),
  };
}

function judge(statusCode: number): DeliveryFailure | undefined {
  if (statusCode >= 200 && statusCode < 300) return undefined;
  if (statusCode >= 300 && statusCode < 400) {
    return new DeliveryFailure('REDIRECTED', `The answer was ${statusCode}: redirects are not followed.`);
  }
  return new DeliveryFailure('STATUS', `The answer was ${statusCode}.`);
}

interface Answer {
  statusCode: number;
  text: string;
}

function post(
  { url, addresses }: Target,
  { headers, body, ca }: { headers: Record<string, string>; body: string; ca: string | undefined },
  signal: AbortSignal,
): Promise<Answer> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  // Whoever asks for the name again, this is what it hears: there is no second look. A literal address is not asked for.
  const lookup: LookupFunction = (_host, options, done) => {
    if (options.all) done(null, found);
    else done(null, found[0]!.address, found[0]!.family);
  };
  const options = {
    method: 'POST',
    host,
    port: url.port || undefined,
    path: url.pathname + url.search,
    headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
    lookup,
    // No connection is kept: the next delivery looks again where the name leads to.
    agent: false as const,
    signal,
  };
  return new Promise((resolve, reject) => {
    const onAnswer = (response: IncomingMessage): void => {
      readAnswer(response).then((text) => {
        resolve({ statusCode: response.statusCode ?? 0, text });
        outgoing.destroy();
      }, reject);
    };
    const outgoing =
      url.protocol === 'https:'
        ? requestHttps({ ...options, ...(ca === undefined ? {} : { ca }) }, onAnswer)
        : requestHttp(options, onAnswer);
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** The beginning of an answer, as text that every store takes. */
async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= maxAnswerBytes) break;
  }
  const kept = Buffer.concat(chunks).subarray(0, maxAnswerBytes);
  return kept.toString('utf8').replaceAll('\u0000', '\ufffd').toWellFormed();
}

/** A resolver may be slow to hear of the end. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {});
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', stop!));
}

/** Node's and OpenSSL's codes of a connection without trust. */
const tlsCode =
  /^(ERR_(TLS|SSL)_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|EPROTO)/;
const connectCodes = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EADDRNOTAVAIL', 'EACCES']);

function failureOf(error: unknown): DeliveryFailure {
  if (error instanceof DeliveryFailure) return error;
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  const code = String((inner as NodeJS.ErrnoException | undefined)?.code ?? '');
  if (tlsCode.test(code)) return new DeliveryFailure('TLS_FAILED', `There is no secure connection (${code}).`, error);
  if (connectCodes.has(code)) return new DeliveryFailure('NOT_REACHED', 'Nobody answers at the address.', error);
  if (code.startsWith('HPE_')) return new DeliveryFailure('BAD_ANSWER', 'The answer is not HTTP.', error);
  return new DeliveryFailure('CLOSED', 'The connection ended before the answer did.', error);
}
