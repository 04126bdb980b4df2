import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { epochMs, eventDeviceId, id, instant, pingState } from './common.ts';
import { conformsTo } from './conforms.ts';
import type { PingEvent } from './ping-events.ts';
import { hostReadable, readUrl } from './url.ts';

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

/** What may be absent, which agents also say with null and with nothing between the quotes. */
const optional = <T extends z.ZodType>(schema: T) => z.union([schema, z.literal(''), z.null()]).optional();
const optionalText = z.union([z.string(), z.null()]).optional();

/** A ping as agents post it. Lengths and times are checked by `checkPing`, each with a code of its own. */
export const ping = z
  .object({
    id: id.meta({ description: 'Made by the client; UUIDv7.' }),
    startedAt: instant,
    endedAt: instant.meta({ description: 'Not before startedAt, at most 24 h after it; equal is an instant.' }),
    app: z.string().meta({ description: '1–256 characters.' }),
    title: optionalText.meta({ description: 'At most 1,024 characters; what is over them is cut off.' }),
    url: optionalText.meta({
      description: 'Absolute, at most 2,048 characters, not javascript: or data:; any other is left out.',
    }),
    state: optional(pingState).meta({ description: '`active` unless said.' }),
    deviceId: optional(eventDeviceId).meta({ description: "The credential's device unless said." }),
    source: optional(z.string().min(1).max(maxSourceLength)).meta({
      description: 'The watcher; `window` unless said.',
    }),
    projectId: optional(id),
    timeEntryId: optional(id),
    incognito: z
      .union([z.boolean(), z.null()])
      .optional()
      .meta({ description: 'Of a private browser window: it is accepted, and kept nowhere.' }),
  })
  .meta({ id: 'Ping', description: 'null and "" of what is optional are as if it were absent.' });

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
export const pingsAnswer = z
  .object({
    accepted: z.int(),
    rejected: z.array(rejection),
    warnings: z
      .array(rejection)
      .optional()
      .meta({ description: 'Of accepted pings: a title that was cut, a URL that was left out. Absent without any.' }),
  })
  .meta({ id: 'PingsAnswer' });

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
  const { message } = (issue.code === 'invalid_union' ? issue.errors[0]?.[0] : undefined) ?? issue;
  if (field === '') return problem('NOT_A_PING', 'A ping is a JSON object.');
  const given = (value as Record<string, unknown>)[field];
  if (given === undefined) return problem('MISSING_FIELD', `${field} is missing.`);
  if (typeof given !== 'string')
    return problem('WRONG_TYPE', `${field} must be ${field === 'incognito' ? 'true or false' : 'text'}.`);
  return problem(formCodes[field] ?? 'INVALID_FIELD', `${field}: ${message}.`);
}

/** Lengths are in characters as people count them (code points); UTF-16 units settle nearly every case. */
const longerThan = (text: string, max: number): boolean =>
  text.length > max && (text.length > 2 * max || [...text].length > max);

/** As much of a title as is kept, always well-formed: an agent that cuts by bytes or UTF-16 units may halve a character. */
function keptTitle(title: string, max: number, warnings: PingProblem[]): string {
  let kept = title;
  if (longerThan(kept, max)) {
    warnings.push(problem('TITLE_TOO_LONG', `title has more than ${max} characters and was cut.`));
    kept = [...kept.slice(0, 2 * max)].slice(0, max).join('');
  }
  if (isStorable(kept)) return kept;
  warnings.push(problem('INVALID_TEXT', 'title held U+0000 or half of a surrogate pair, which was replaced.'));
  return kept
    .replace(/[\ud800-\udbff]$/, '')
    .toWellFormed()
    .replaceAll('\u0000', '\ufffd');
}

/** What is kept of a URL; nothing, with a warning, where it cannot be. */
function keptUrl(url: string, max: number, warnings: PingProblem[]): { url: string; host: string | null } | undefined {
  let read: ReturnType<typeof readUrl>;
  if (longerThan(url, max)) read = problem('URL_TOO_LONG', `url has more than ${max} characters and was left out.`);
  else if (!isStorable(url)) read = problem('INVALID_TEXT', 'url held U+0000 or half of a surrogate pair.');
  else read = readUrl(url);
  if (!('code' in read)) return read;
  warnings.push(read);
  return undefined;
}

const leftOut = new WeakMap<PingEvent, string>();

/**
 * The host that rules of privacy go by: that of the ping, or of the address that was left out of it. Of an event as `checkPing` gave it,
 * not of a copy.
 */
export const hostJudged = (ping: PingEvent): string | null => ping.host ?? leftOut.get(ping) ?? null;

/**
 * Judges one ping and turns it into its event. Never throws. Time is worth more than what stands beside it: a title or
 * URL that cannot be kept as it is costs nobody the ping.
 * @param warnings what was changed about the ping is added here, where it is taken.
 * @returns the event, or the first problem with its stable code.
 */
export function checkPing(value: unknown, context: PingContext, warnings: PingProblem[] = []): CheckedPing {
  const { limits, nowMs } = context;
  if (!isPing(value)) return formProblem(value);
  const p = value;

  if (p.app === '') return problem('APP_EMPTY', 'app is empty.');
  if (longerThan(p.app, limits.maxAppLength)) {
    return problem('APP_TOO_LONG', `app has more than ${limits.maxAppLength} characters.`);
  }
  for (const field of ['app', 'deviceId', 'source'] as const) {
    const text = p[field];
    if (text && !isStorable(text)) return problem('INVALID_TEXT', `${field} holds U+0000 or half of a surrogate pair.`);
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

  const address = p.url ? keptUrl(p.url, limits.maxUrlLength, warnings) : undefined;
  const title = p.title ? keptTitle(p.title, limits.maxTitleLength, warnings) : '';
  const event: PingEvent = {
    id: p.id,
    startedAt,
    endedAt,
    app: p.app,
    host: address?.host ?? null,
    state: p.state || 'active',
    deviceId: p.deviceId || context.deviceId,
    source: p.source || defaultSource,
  };
  if (title) event.title = title;
  if (address) event.url = address.url;
  else if (p.url) {
    const host = hostReadable(p.url);
    if (host !== null) leftOut.set(event, host);
  }
  if (p.projectId) event.projectId = p.projectId;
  if (p.timeEntryId) event.timeEntryId = p.timeEntryId;
  return event;
}
