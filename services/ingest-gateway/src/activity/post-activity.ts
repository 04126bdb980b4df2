import { takenAt } from '@worktide/privacy';
import { AppError, invalid, type Metrics, type RawRoute } from '@worktide/runtime';
import {
  activityAnswer,
  activityBody,
  type Codec,
  checkInputMinute,
  type InputMinuteEvent,
  maxInputMinutes,
  topics,
} from '@worktide/schemas';
import type { Config } from '../config.ts';
import { allBad, type ItemKind } from '../items/kind.ts';

const spec: RawRoute['spec'] = {
  method: 'post',
  path: '/api/v1/activity',
  operationId: 'postActivity',
  summary: 'Take counts of keyboard clicks and mouse movements',
  description:
    'Of one minute, an array of minutes, or NDJSON (`application/x-ndjson`), gzip allowed. Answered once the log has the good ' +
    'ones durably; each bad one is named by its index with a code and does not touch the others. Of several for one device and ' +
    'minute the greater of each count holds, so sending them again is harmless.',
  tag: 'ingest',
  access: 'user',
  agents: true,
  body: activityBody,
  requestHeaders: { 'Content-Encoding': '`gzip`, where the body is.' },
  contentTypes: ['application/x-ndjson', 'application/ndjson'],
  responses: { 202: { description: 'The accepted counts are durable.', schema: activityAnswer } },
  alsoAnswers: {
    409: '`STORAGE_QUOTA_EXCEEDED`: the plan of the organization takes no more pings this month.',
    429: 'As for `POST /pings`: a minute counts as a ping.',
  },
};

/** Bytes of a request and of one minute: there are no others to be told of. */
const maxBodyBytes = 1_000_000;
const maxItemBytes = 16_384;
/** The devices of a user are bounded together with the watchers on them. */
const source = 'input';

/** `POST /api/v1/activity`. */
export function activityItems(deps: { config: Config; codec: Codec; metrics: Metrics }): ItemKind<InputMinuteEvent> {
  const { config, codec, metrics } = deps;
  const maxAgeMs = config.PINGS_MAX_AGE_DAYS * 86_400_000;
  const maxFutureMs = config.PINGS_MAX_FUTURE_SECONDS * 1000;
  return {
    spec,
    topic: topics['input-minutes'].name,
    codec,
    maxBodyBytes,
    limits: {
      maxItems: maxInputMinutes,
      maxItemBytes,
      itemTooLarge: { code: 'MINUTE_TOO_LARGE', message: `A minute has at most ${maxItemBytes} bytes.` },
      tooMany: () =>
        new AppError(
          'TOO_MANY_MINUTES',
          `At most ${maxInputMinutes} minutes a request; nothing of this one was taken.`,
          {
            statusCode: 413,
          },
        ),
      empty: () => invalid('EMPTY_REQUEST', 'The request holds no minute.'),
    },
    checker({ nowMs, deviceId }) {
      const context = { nowMs, deviceId, maxAgeMs, maxFutureMs };
      return (value) => checkInputMinute(value, context);
    },
    keep(counts, _, { privacy, caller, nowMs }) {
      const span = { start: counts.minute, end: counts.minute + 60_000 };
      const why = takenAt(privacy, span, caller, nowMs);
      return why ? { kept: [], taken: [why] } : { kept: [counts], taken: [] };
    },
    streamOf: ({ deviceId }) => ({ deviceId, source }),
    recordOf: (envelope, minutes) => ({ ...envelope, minutes }),
    allBad: (bad) => allBad('ALL_MINUTES_REJECTED', 'Every minute of the request was refused.', bad),
    metrics: {
      accepted: metrics.counter(
        'worktide_input_minutes_accepted_total',
        'Counts of minutes on the log and answered 202.',
      ),
      rejected: metrics.counter('worktide_input_minutes_rejected_total', 'Counts of minutes refused, by code.', [
        'code',
      ]),
    },
  };
}
