import { hostOf } from './host.ts';
import { type Entry, gapBySource, type Key, maskEntries, mergeSpans, type Span, type State } from './merge.ts';

/** A ping as an agent puts it on the wire. */
export interface WirePing {
  id: string;
  startedAt: string;
  endedAt: string;
  app: string;
  title?: string;
  url?: string;
  state?: State;
  deviceId?: string;
  source?: string;
  /** An instant of an editor as WakaTime's plugins tell it: what lies between two of them is time. */
  heartbeat?: boolean;
}

/** One usage entry as the public interface must show it. */
export interface ExpectedEntry extends Entry {
  deviceId: string;
  source: string;
}

/**
 * What the service has acknowledged, and so what must be seen. Only acknowledged pings are in it; repeats are kept
 * as they are, since repeating changes nothing in the rule either.
 */
export interface Ledger {
  /** @param credentialDevice the device of the credential that posted it, for pings that name none. */
  acknowledge(userId: string, credentialDevice: string, ping: WirePing): void;
  users(): string[];
  /** Acknowledged pings, repeats included. */
  readonly pings: number;
  /** The entries of all streams of one user: by device, source and start. */
  entries(userId: string): ExpectedEntry[];
}

/** Parallel columns instead of objects: a load run acknowledges millions of pings. */
interface Stream {
  deviceId: string;
  source: string;
  starts: number[];
  ends: number[];
  keys: Key[];
  /** Instants of WakaTime's plugins, of one app. */
  heartbeats: { app: string; at: Set<number> } | undefined;
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Requirement of the protocol: what lies between two heartbeats counts, up to this. */
const heartbeatTimeoutMs = 15 * 60_000;

function heartbeatSpans(heartbeats: Stream['heartbeats']): Span[] {
  if (!heartbeats) return [];
  const key: Key = { app: heartbeats.app, host: null, state: 'active' };
  const at = [...heartbeats.at].sort((a, b) => a - b);
  return at.map((startedAt, i) => {
    const next = at[i + 1];
    const goesOn = next !== undefined && next - startedAt <= heartbeatTimeoutMs;
    return { startedAt, endedAt: goesOn ? next : startedAt, key };
  });
}

export function createLedger(): Ledger {
  const streamsOf = new Map<string, Map<string, Stream>>();
  const keys = new Map<string, Key>();
  const merged = new Map<string, { pings: number; entries: ExpectedEntry[] }>();
  let pings = 0;

  function keyOf(ping: WirePing): Key {
    const host = hostOf(ping.url);
    const state = ping.state ?? 'active';
    return getOrAdd(keys, JSON.stringify([ping.app, host, state]), () => ({ app: ping.app, host, state }));
  }

  function streamOf(userId: string, deviceId: string, source: string): Stream {
    const streams = getOrAdd(streamsOf, userId, () => new Map<string, Stream>());
    const name = JSON.stringify([deviceId, source]);
    return getOrAdd(streams, name, () => ({ deviceId, source, starts: [], ends: [], keys: [], heartbeats: undefined }));
  }

  function merge(stream: Stream): ExpectedEntry[] {
    const gap = gapBySource[stream.source];
    if (gap === undefined) throw new Error(`no gap is known for source ${stream.source}`);
    const spans = stream.starts.map((startedAt, i) => ({
      startedAt,
      endedAt: stream.ends[i]!,
      key: stream.keys[i]!,
    }));
    return mergeSpans([...spans, ...heartbeatSpans(stream.heartbeats)], gap).map((e) => ({
      ...e,
      deviceId: stream.deviceId,
      source: stream.source,
    }));
  }

  return {
    acknowledge(userId, credentialDevice, ping) {
      const stream = streamOf(userId, ping.deviceId ?? credentialDevice, ping.source ?? 'window');
      pings++;
      if (ping.heartbeat) {
        stream.heartbeats ??= { app: ping.app, at: new Set() };
        stream.heartbeats.at.add(Date.parse(ping.startedAt));
        return;
      }
      stream.starts.push(Date.parse(ping.startedAt));
      stream.ends.push(Date.parse(ping.endedAt));
      stream.keys.push(keyOf(ping));
    },
    users: () => [...streamsOf.keys()],
    get pings() {
      return pings;
    },
    entries(userId) {
      const streams = [...(streamsOf.get(userId)?.values() ?? [])];
      const count = streams.reduce((sum, s) => sum + s.starts.length + (s.heartbeats?.at.size ?? 0), 0);
      const known = merged.get(userId);
      if (known?.pings === count) return known.entries;
      const byName = (a: Stream, b: Stream): number =>
        a.deviceId === b.deviceId ? Number(a.source > b.source) - 0.5 : Number(a.deviceId > b.deviceId) - 0.5;
      const idle = new Map<string, Entry[]>();
      const byStream = streams.sort(byName).map((stream) => ({ stream, merged: merge(stream) }));
      for (const { stream, merged: own } of byStream) {
        if (stream.source === 'afk')
          idle.set(
            stream.deviceId,
            own.filter(({ key }) => key.state === 'idle'),
          );
      }
      const entries = byStream.flatMap(({ stream, merged: own }) =>
        stream.source === 'afk' ? own : maskEntries(own, idle.get(stream.deviceId) ?? []),
      );
      merged.set(userId, { pings: count, entries });
      return entries;
    },
  };
}
