import type { DeadLetterReason, StoredRecord } from '@worktide/event-log';
import { isStorable } from '@worktide/runtime';
import {
  type Codec,
  firstIssue,
  isPingEvent,
  type PingEvent,
  pingEvent,
  pingEventBounds,
  pingsEnvelope,
  readRecord,
} from '@worktide/schemas';
import type { KeySpan, UsageKey } from '../merge/index.ts';
import type { BadRecord } from '../side-by-side.ts';
import type { StreamIdentity } from '../store/streams.ts';

export interface StreamPings {
  stream: StreamIdentity;
  pings: KeySpan[];
}

export interface Decoded {
  streams: StreamPings[];
  /** The records that pings of a stream came in. */
  recordsOf: Map<StreamIdentity, StoredRecord[]>;
  bad: BadRecord[];
}

export interface DecodeOptions {
  codec: Codec;
  /** See `Partitions.horizon`. */
  horizon: () => number;
}

/**
 * Reads records of topic `pings`: what is good by stream, what is bad each by itself, so that one bad ping takes
 * neither its record nor what is behind it along.
 * @throws 503 where the schema registry must be asked and cannot; nothing else.
 */
export function decodeRecords(records: readonly StoredRecord[], { codec, horizon }: DecodeOptions): Decoded {
  const bad: BadRecord[] = [];
  const streams = new Map<string, StreamPings>();
  const recordsOf = new Map<StreamIdentity, StoredRecord[]>();
  const latest = horizon();
  for (const record of records) {
    const envelope = readEnvelope(record, codec, bad);
    if (!envelope) continue;
    // Hex digits come in two cases, and ids of entries are derived from these.
    const organizationId = envelope.organizationId.toLowerCase();
    const userId = envelope.userId.toLowerCase();
    let current: StreamPings | undefined;
    for (const value of envelope.pings) {
      const ping = readPing(value, latest);
      if ('reason' in ping) {
        bad.push({ record, reason: ping.reason, value: () => codec.encode({ ...envelope, pings: [value] }) });
        continue;
      }
      const { deviceId, source } = ping;
      if (current?.stream.deviceId !== deviceId || current.stream.source !== source) {
        const name = `${organizationId}${userId}${deviceId.length} ${deviceId}${source}`;
        current = streams.get(name);
        if (!current) {
          current = { stream: { organizationId, userId, deviceId, source }, pings: [] };
          streams.set(name, current);
          recordsOf.set(current.stream, []);
        }
        const cameIn = recordsOf.get(current.stream)!;
        if (cameIn.at(-1) !== record) cameIn.push(record);
      }
      current.pings.push(spanOf(ping, current.pings[current.pings.length - 1]?.key));
    }
  }
  return { streams: [...streams.values()], recordsOf, bad };
}

function readEnvelope(record: StoredRecord, codec: Codec, bad: BadRecord[]) {
  const read = readRecord(codec, record.value, pingsEnvelope);
  if ('data' in read) return read.data;
  bad.push({ record, reason: read.unusable });
  return undefined;
}

/** What the writer takes of a ping: what is none, or reaches beyond the tables, is refused. */
export function readPing(value: unknown, latest: number): PingEvent | { reason: DeadLetterReason } {
  if (!isPingEvent(value)) return refuse('BAD_PING', firstIssue(pingEvent.safeParse(value).error!));
  const ping = value;
  const { startedAt, endedAt } = ping;
  if (endedAt < startedAt) return refuse('END_BEFORE_START', 'endedAt is before startedAt.');
  // It touches two months at most, three around February.
  if (endedAt - startedAt > pingEventBounds.durationMs) return refuse('TOO_LONG', 'The ping is longer than 31 days.');
  if (endedAt >= latest) return refuse('IN_FUTURE', 'endedAt is months ahead.');
  for (const field of ['app', 'host', 'deviceId', 'source'] as const) {
    const text = ping[field];
    if (text !== null && !isStorable(text))
      return refuse('INVALID_TEXT', `${field} holds U+0000 or half of a surrogate pair.`);
  }
  return ping;
}

const refuse = (code: string, message: string) => ({ reason: { code, message } });

/** An instant covers one millisecond. A run of one key shares one object, which makes comparing cheap. */
export function spanOf({ startedAt, endedAt, app, host, state }: PingEvent, before: UsageKey | undefined): KeySpan {
  const same = before !== undefined && before.app === app && before.host === host && before.state === state;
  return { start: startedAt, end: Math.max(endedAt, startedAt + 1), key: same ? before : { state, app, host } };
}
