import { applyPrivacy } from '@worktide/privacy';
import { AppError, invalid, type Metrics, type RawRoute } from '@worktide/runtime';
import {
  type Codec,
  checkPing,
  type PingEvent,
  type PingLimits,
  pingsAnswer,
  pingsBody,
  topics,
} from '@worktide/schemas';
import type { Config } from '../config.ts';
import { allBad, type ItemKind } from '../items/kind.ts';

const spec: RawRoute['spec'] = {
  method: 'post',
  path: '/api/v1/pings',
  operationId: 'postPings',
  summary: 'Take pings',
  description:
    'One ping, an array, or NDJSON (`application/x-ndjson`), gzip allowed. Answered once the log has the good pings durably; ' +
    'each bad one is named by its index with a code and does not touch the others. What privacy takes away is accepted, and kept nowhere. A title that is cut and a URL that is left ' +
    'out cost no ping: `warnings` names them. Sending a ping again is harmless.',
  tag: 'ingest',
  access: 'user',
  agents: true,
  body: pingsBody,
  requestHeaders: { 'Content-Encoding': '`gzip`, where the body is.' },
  contentTypes: ['application/x-ndjson', 'application/ndjson'],
  responses: { 202: { description: 'The accepted pings are durable.', schema: pingsAnswer } },
  alsoAnswers: {
    409: '`STORAGE_QUOTA_EXCEEDED`: the plan of the organization takes no more pings this month.',
    429:
      'More pings than the plan of the organization takes (a request counts as one ping for each 1,000 bytes, decompressed, ' +
      'where that is more than it has), or too many requests of the user at once; nothing of the request was taken.',
  },
};

/** `POST /api/v1/pings`. */
export function pingItems(deps: { config: Config; codec: Codec; metrics: Metrics }): ItemKind<PingEvent> {
  const { config, codec, metrics } = deps;
  const limits: PingLimits = {
    maxAppLength: config.PINGS_MAX_APP_LENGTH,
    maxTitleLength: config.PINGS_MAX_TITLE_LENGTH,
    maxUrlLength: config.PINGS_MAX_URL_LENGTH,
    maxDurationMs: config.PINGS_MAX_DURATION_SECONDS * 1000,
    maxAgeMs: config.PINGS_MAX_AGE_DAYS * 86_400_000,
    maxFutureMs: config.PINGS_MAX_FUTURE_SECONDS * 1000,
  };
  const { PINGS_MAX_PER_REQUEST: maxItems, PING_MAX_BYTES: maxItemBytes } = config;
  return {
    spec,
    topic: topics.pings.name,
    codec,
    maxBodyBytes: config.PINGS_MAX_BODY_BYTES,
    limits: {
      maxItems,
      maxItemBytes,
      itemTooLarge: { code: 'PING_TOO_LARGE', message: `A ping has at most ${maxItemBytes} bytes.` },
      tooMany: () =>
        new AppError('TOO_MANY_PINGS', `At most ${maxItems} pings a request; nothing of this one was taken.`, {
          statusCode: 413,
        }),
      empty: () => invalid('EMPTY_REQUEST', 'The request holds no ping.'),
    },
    checker({ nowMs, deviceId }) {
      const context = { nowMs, deviceId, limits };
      return (value, warnings) => checkPing(value, context, warnings);
    },
    keep(ping, given, { privacy, caller, nowMs }) {
      const privateWindow = (given as { incognito?: unknown } | undefined)?.incognito === true;
      const { pings: kept, taken } = applyPrivacy(privacy, ping, caller, nowMs, { privateWindow });
      return { kept, taken };
    },
    streamOf: (ping) => ping,
    recordOf: (envelope, pings) => ({ ...envelope, pings }),
    allBad: (bad) => allBad('ALL_PINGS_REJECTED', 'Every ping of the request was refused.', bad),
    metrics: {
      accepted: metrics.counter('worktide_pings_accepted_total', 'Pings on the log and answered 202.'),
      rejected: metrics.counter('worktide_pings_rejected_total', 'Pings refused, by code.', ['code']),
      warned: metrics.counter('worktide_pings_warnings_total', 'Titles cut and URLs left out, by code.', ['code']),
    },
  };
}
