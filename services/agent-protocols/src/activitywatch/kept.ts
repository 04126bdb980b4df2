import { type Bucket, isPrivate, type PingFields, pingFieldsOf } from '@worktide/activitywatch';
import { applyPrivacy, type CompiledPrivacy, type Observed, type PrivacyKind } from '@worktide/privacy';
import { derivedUuid } from '@worktide/runtime';
import { checkPing, defaultPingLimits, isProblem, type PingEvent } from '@worktide/schemas';
import { canonicalJson, type GivenEvent, type StoredEvent } from './event.ts';
import { perMs } from './times.ts';

/** A bucket as far as it says what its events are, and whose they are. */
export interface OwnedBucket extends Omit<Bucket, 'id'> {
  bucketId: string;
  deviceId: string;
}

/** Pings of buckets that are kept for as long as anybody wants; for the privacy of what stands in them it is all the same. */
const anyTime = { ...defaultPingLimits, maxAgeMs: Number.MAX_SAFE_INTEGER, maxDurationMs: Number.MAX_SAFE_INTEGER };
/** Texts that are no longer kept when a title is not. */
const titles = new Set(['title', 'file', 'project', 'branch']);

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** What an event of an unknown kind would be, if it were somebody's time: rules know apps, titles and addresses. */
function likeness(data: Record<string, unknown>): PingFields {
  const title = text(data.title);
  const url = text(data.url);
  return {
    app: text(data.app)?.slice(0, 256).toWellFormed().replaceAll('\u0000', '\ufffd') ?? 'unknown',
    source: 'window',
    state: 'active',
    ...(title === undefined ? {} : { title }),
    ...(url === undefined ? {} : { url }),
  };
}

const fieldsOf = ({ type, client, bucketId }: OwnedBucket, data: Record<string, unknown>) =>
  pingFieldsOf({ type, client, id: bucketId }, data);

/** The ping of a span of an event; undefined for what is no time of a person, or no longer to be told. */
export function pingOf(
  bucket: OwnedBucket,
  data: Record<string, unknown>,
  { startedAt, endedAt }: { startedAt: number; endedAt: number },
  nowMs: number,
): PingEvent | undefined {
  const fields = fieldsOf(bucket, data);
  return fields && eventOf(fields, bucket, { startedAt, endedAt }, nowMs);
}

function eventOf(
  fields: PingFields,
  { bucketId, deviceId }: OwnedBucket,
  { startedAt, endedAt }: { startedAt: number; endedAt: number },
  nowMs: number,
): PingEvent | undefined {
  const start = Math.floor(startedAt / perMs);
  const end = Math.max(start, Math.floor(endedAt / perMs));
  const given = {
    id: derivedUuid('activitywatch', deviceId, bucketId, start, end, fields.app, fields.state),
    startedAt: new Date(start).toISOString(),
    endedAt: new Date(end).toISOString(),
    ...fields,
  };
  const ping = checkPing(given, { nowMs, deviceId, limits: anyTime });
  return isProblem(ping) ? undefined : ping;
}

/**
 * What may be kept of an event under the rules of its organisation: none, or the event with the words that may be kept, or
 * pieces of it.
 */
export function keptOf(
  bucket: OwnedBucket,
  given: GivenEvent,
  privacy: CompiledPrivacy,
  observed: Observed,
  nowMs: number,
): { pieces: StoredEvent[]; taken: PrivacyKind[] } {
  const { startedAt, endedAt } = given;
  const privateWindow = isPrivate(given.data);
  if (!privateWindow && privacy.keepsAll && !observed.pause) {
    return { pieces: [{ startedAt, endedAt, data: canonicalJson(given.data) }], taken: [] };
  }
  const fields = fieldsOf(bucket, given.data) ?? likeness(given.data);
  const ping = eventOf(fields, bucket, given, nowMs);
  // Of what cannot be judged nothing is kept.
  if (!ping) return { pieces: [], taken: [] };
  // With a title, whether it has one or not: what becomes of it says what becomes of other words.
  ping.title ??= '-';
  const { pings, taken } = applyPrivacy(privacy, ping, observed, nowMs, { privateWindow });
  const [first] = pings;
  if (!first) return { pieces: [], taken };
  const data = canonicalJson(keptData(bucket, given.data, ping, first));
  const pieces = pings.map((piece) => ({
    startedAt: piece.startedAt === ping.startedAt ? startedAt : piece.startedAt * perMs,
    endedAt: piece.endedAt === ping.endedAt ? endedAt : piece.endedAt * perMs,
    data,
  }));
  return { pieces, taken };
}

/** Where there are rules, only texts are kept that rules have judged, and of these what the ping still has. */
function keptData(
  { type }: OwnedBucket,
  data: Record<string, unknown>,
  before: PingEvent,
  after: PingEvent,
): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(data)) {
    const isPlain = typeof value === 'number' || typeof value === 'boolean';
    if (isPlain || (typeof value === 'string' && isJudged(name, value))) kept[name] = value;
  }
  if (after.url !== undefined) kept.url = after.url;
  return kept;

  function isJudged(name: string, value: string): boolean {
    if (name === 'app') return value === before.app;
    if (name === 'status') return value === 'afk' || value === 'not-afk';
    if (name === 'language') return type === 'app.editor.activity';
    return titles.has(name) && before.title === after.title;
  }
}
