import { z } from 'zod';
import { epochMs, eventDeviceId, id, instant, isStorable, pingState } from './common.ts';
import { conformsTo } from './conforms.ts';
import type { PingEvent } from './ping-events.ts';
import { readUrl } from './url.ts';

/** What a ping may be, configurable per deployment; the defaults are those of the public interface. */
export interface PingLimits {
  maxAppLength: number;
  maxTitleLength: number;
  maxUrlLength: number;
  maxDurationMs: number;
  maxAgeMs: number;
  maxFutureMs: number;
}

export const defaultPingLimits: PingLimits = {
  maxAppLength: 256,
  maxTitleLength: 1024,
  maxUrlLength: 2048,
  maxDurationMs: 24 * 3_600_000,
  maxAgeMs: 90 * 24 * 3_600_000,
  maxFutureMs: 5 * 60_000,
};

export const maxSourceLength = 64;
export const defaultSource = 'window';

/** A ping as agents post it. Lengths and times are checked by `checkPing`, each with a code of its own. */
export const ping = z
  .object({
    id: id.meta({ description: 'Made by the client; UUIDv7.' }),
    startedAt: instant,
    endedAt: instant.meta({ description: 'Not before startedAt, at most 24 h after it; equal is an instant.' }),
    app: z.string().meta({ description: '1–256 characters.' }),
    title: z.string().optional().meta({ description: 'At most 1,024 characters.' }),
    url: z.string().optional().meta({ description: 'Absolute, at most 2,048 characters; not javascript: or data:.' }),
    state: pingState.optional().meta({ description: '`active` unless said.' }),
    deviceId: eventDeviceId.optional().meta({ description: "The credential's device unless said." }),
    source: z
      .string()
      .min(1)
      .max(maxSourceLength)
      .optional()
      .meta({ description: 'The watcher; `window` unless said.' }),
    projectId: id.optional(),
    timeEntryId: id.optional(),
  })
  .meta({ id: 'Ping' });

const isPing = conformsTo(ping);

export const rejection = z
  .object({
    index: z.int().meta({ description: 'Position in the request, from 0.' }),
    id: z.string().optional(),
    code: z.string(),
    message: z.string(),
  })
  .meta({ id: 'Rejection' });
export type Rejection = z.output<typeof rejection>;

export const pingsBody = z.union([ping, z.array(ping).min(1).max(1000)]);
export const pingsAnswer = z.object({ accepted: z.int(), rejected: z.array(rejection) }).meta({ id: 'PingsAnswer' });

export interface PingContext {
  nowMs: number;
  /** Used where the ping names no device. */
  deviceId: string;
  limits: PingLimits;
}

export type PingProblem = { code: string; message: string };
export type CheckedPing = PingEvent | PingProblem;

export const isProblem = (checked: CheckedPing): checked is PingProblem => 'code' in checked;

const problem = (code: string, message: string): PingProblem => ({ code, message });

/** The codes of fields whose form is wrong. A wrong type or an absent field is told apart before. */
const formCodes: Record<string, string> = {
  id: 'INVALID_ID',
  startedAt: 'INVALID_TIME',
  endedAt: 'INVALID_TIME',
  state: 'INVALID_STATE',
  deviceId: 'INVALID_DEVICE_ID',
  source: 'INVALID_SOURCE',
  projectId: 'INVALID_PROJECT_ID',
  timeEntryId: 'INVALID_TIME_ENTRY_ID',
};

function formProblem(value: unknown): PingProblem {
  const issue = ping.safeParse(value).error!.issues[0]!;
  const field = String(issue.path[0] ?? '');
  if (field === '') return problem('NOT_A_PING', 'A ping is a JSON object.');
  const given = (value as Record<string, unknown>)[field];
  if (given === undefined) return problem('MISSING_FIELD', `${field} is missing.`);
  if (typeof given !== 'string') return problem('WRONG_TYPE', `${field} must be text.`);
  return problem(formCodes[field] ?? 'INVALID_FIELD', `${field}: ${issue.message}.`);
}

/** Lengths are in characters as people count them (code points); UTF-16 units settle nearly every case. */
const longerThan = (text: string, max: number): boolean =>
  text.length > max && (text.length > 2 * max || [...text].length > max);

/**
 * Judges one ping and turns it into its event. Never throws.
 * @returns the event, or the first problem with its stable code.
 */
export function checkPing(value: unknown, context: PingContext): CheckedPing {
  const { limits, nowMs } = context;
  if (!isPing(value)) return formProblem(value);
  const p = value;

  if (p.app === '') return problem('APP_EMPTY', 'app is empty.');
  if (longerThan(p.app, limits.maxAppLength)) {
    return problem('APP_TOO_LONG', `app has more than ${limits.maxAppLength} characters.`);
  }
  if (p.title !== undefined && longerThan(p.title, limits.maxTitleLength)) {
    return problem('TITLE_TOO_LONG', `title has more than ${limits.maxTitleLength} characters.`);
  }
  if (p.url !== undefined && longerThan(p.url, limits.maxUrlLength)) {
    return problem('URL_TOO_LONG', `url has more than ${limits.maxUrlLength} characters.`);
  }
  for (const field of ['app', 'title', 'url', 'deviceId', 'source'] as const) {
    const text = p[field];
    if (text !== undefined && !isStorable(text))
      return problem('INVALID_TEXT', `${field} holds U+0000 or half of a surrogate pair.`);
  }

  const startedAt = epochMs(p.startedAt);
  const endedAt = epochMs(p.endedAt);
  if (Number.isNaN(startedAt) || Number.isNaN(endedAt)) return problem('INVALID_TIME', 'Not a time.');
  if (endedAt < startedAt) return problem('END_BEFORE_START', 'endedAt is before startedAt.');
  // Events know no time before the epoch, whatever the limit.
  if (startedAt < Math.max(nowMs - limits.maxAgeMs, 0)) {
    return problem('TOO_OLD', `startedAt is more than ${limits.maxAgeMs / 86_400_000} days ago.`);
  }
  if (endedAt > nowMs + limits.maxFutureMs) {
    return problem('IN_FUTURE', `endedAt is more than ${limits.maxFutureMs / 60_000} minutes in the future.`);
  }
  if (endedAt - startedAt > limits.maxDurationMs) {
    return problem('TOO_LONG', `The ping is longer than ${limits.maxDurationMs / 3_600_000} hours.`);
  }

  let host: string | null = null;
  let url: string | undefined;
  if (p.url !== undefined) {
    const read = readUrl(p.url);
    if ('code' in read) return read;
    ({ host, url } = read);
  }

  const event: PingEvent = {
    id: p.id,
    startedAt,
    endedAt,
    app: p.app,
    host,
    state: p.state ?? 'active',
    deviceId: p.deviceId ?? context.deviceId,
    source: p.source ?? defaultSource,
  };
  if (p.title !== undefined) event.title = p.title;
  if (url !== undefined) event.url = url;
  if (p.projectId !== undefined) event.projectId = p.projectId;
  if (p.timeEntryId !== undefined) event.timeEntryId = p.timeEntryId;
  return event;
}
