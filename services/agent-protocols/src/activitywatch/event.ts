import { AppError, invalid } from '@worktide/runtime';
import { z } from 'zod';
import { perMs, perSecond, readTimestamp, shownTimestamp } from './times.ts';

/** One event of a bucket: microseconds since the epoch, its data as canonical JSON, so that equal data is equal text. */
export interface StoredEvent {
  startedAt: number;
  endedAt: number;
  data: string;
}

/** An event with its number, which is its id within its bucket. */
export interface NumberedEvent extends StoredEvent {
  number: number;
}

/** An event as its row has it; PostgreSQL's `bigint` comes as text. */
export interface EventRow {
  number: string;
  startedAt: string;
  length: string;
  data: string;
}

export const eventOfRow = ({ number, startedAt, length, data }: EventRow): NumberedEvent => ({
  number: Number(number),
  startedAt: Number(startedAt),
  endedAt: Number(startedAt) + Number(length),
  data,
});

/** The last event as the row of its bucket has it: all of it, or nothing. */
export interface LastRow {
  lastNumber: string | null;
  lastStartedAt: string | null;
  lastLength: string | null;
  lastData: string | null;
}

export const lastOfRow = ({ lastNumber, lastStartedAt, lastLength, lastData }: LastRow): NumberedEvent | undefined =>
  lastNumber === null
    ? undefined
    : eventOfRow({ number: lastNumber, startedAt: lastStartedAt!, length: lastLength!, data: lastData! });

/** What one event may take as JSON: a web page's address and title several times over. */
export const maxDataBytes = 32_768;
const maxDays = 31;
/** Clocks go wrong, but what is yet to come is no activity. */
const maxFutureMs = 5 * 60_000;

export const eventSchema = z
  .object({
    id: z.union([z.int(), z.string(), z.null()]).optional(),
    timestamp: z.string().max(64).meta({ description: 'ISO 8601; without a zone it is UTC.' }),
    duration: z.number().default(0).meta({ description: 'Seconds.' }),
    data: z.record(z.string(), z.unknown()).default({}),
  })
  .meta({ id: 'ActivityWatchEvent' });

/** An event as it was sent. */
export interface GivenEvent {
  id: number | undefined;
  startedAt: number;
  endedAt: number;
  data: Record<string, unknown>;
}

/** @throws AppError 400, with what is wrong. */
export function readEvent(value: unknown, nowMs: number): GivenEvent {
  const read = eventSchema.safeParse(value);
  if (!read.success) {
    const { path, message } = read.error.issues[0]!;
    throw invalid('INVALID_EVENT', `${path.join('.') || 'event'}: ${message}`);
  }
  const { id, timestamp, duration, data } = read.data;
  const startedAt = readTimestamp(timestamp);
  if (startedAt === undefined) throw invalid('INVALID_EVENT', 'timestamp: not a time.');
  if (!(duration >= 0 && duration <= maxDays * 86_400)) {
    throw invalid('INVALID_EVENT', `duration: 0 seconds to ${maxDays} days.`);
  }
  const endedAt = startedAt + Math.round(duration * perSecond);
  if (endedAt > (nowMs + maxFutureMs) * perMs) {
    throw invalid('IN_FUTURE', 'The event ends in the future; is the clock of the computer right?');
  }
  return { id: typeof id === 'number' ? id : undefined, startedAt, endedAt, data };
}

/** JSON with the names of every object in order. @throws AppError 400 where it is too long or too deep. */
export function canonicalJson(data: Record<string, unknown>): string {
  const text = JSON.stringify(ordered(data, 20));
  if (Buffer.byteLength(text) > maxDataBytes) {
    throw new AppError('EVENT_TOO_LARGE', `The data of an event may have ${maxDataBytes} bytes.`, { statusCode: 413 });
  }
  return text;
}

function ordered(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) throw invalid('INVALID_EVENT', 'data: nested too deeply.');
  if (Array.isArray(value)) return value.map((member) => ordered(member, depth - 1));
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, ordered(member, depth - 1)]));
}

/** Whole text of an event, as the protocol shows it; the data is JSON already. */
export const eventJson = ({ number, startedAt, endedAt, data }: StoredEvent & { number?: number | null }): string =>
  `{${number === undefined ? '' : `"id":${number},`}"timestamp":"${shownTimestamp(startedAt)}","duration":${
    (endedAt - startedAt) / perSecond
  },"data":${data}}`;
