import { applyPrivacy, type CompiledPrivacy, type Observed, type PrivacyKind } from '@worktide/privacy';
import { derivedUuid } from '@worktide/runtime';
import { checkPing, defaultPingLimits, type PingEvent, type PingProblem } from '@worktide/schemas';
import type { Heartbeat } from './heartbeat.ts';

/** Editors say now and then that somebody is still there: what lies between two of these is time, up to so much. */
export const timeoutMs = 15 * 60_000;

type Seen = Pick<Heartbeat, 'id' | 'at' | 'entity' | 'type' | 'editor'>;

/** The address that a browser's heartbeat is about. */
export function addressOf({ type, entity }: Seen): string | undefined {
  if (type !== 'domain' && type !== 'url') return undefined;
  return /^[a-z][a-z0-9+.-]*:/i.test(entity) && !/^[^/:]+:\d+(\/|$)/.test(entity) ? entity : `https://${entity}`;
}

/**
 * The ping that a heartbeat is: the editor, from `startedAt` to `endedAt`. Its entity is its title, or its address: so that what an
 * organisation never keeps of these, it does not keep of heartbeats.
 * @returns a problem where it is too old, or in the future.
 */
export function pingOf(
  one: Seen,
  deviceId: string,
  nowMs: number,
  span: { id: string; start: number; end: number } = { id: one.id, start: one.at, end: one.at },
): PingEvent | PingProblem {
  const address = addressOf(one);
  const given = {
    id: span.id,
    startedAt: new Date(span.start).toISOString(),
    endedAt: new Date(span.end).toISOString(),
    app: one.editor,
    source: 'editor',
    ...(address === undefined ? { title: one.entity } : { url: address }),
  };
  return checkPing(given, { nowMs, deviceId, limits: defaultPingLimits });
}

/** A heartbeat as far as it may be kept; undefined where none of it may. */
export function keptHeartbeat(
  one: Heartbeat,
  ping: PingEvent,
  privacy: CompiledPrivacy,
  observed: Observed,
  nowMs: number,
): { kept: Heartbeat | undefined; taken: PrivacyKind[] } {
  const privateWindow = one.more?.incognito === true;
  const { pings, taken } = applyPrivacy(privacy, ping, observed, nowMs, { privateWindow });
  const [left] = pings;
  if (!left) return { kept: undefined, taken };
  if (ping.title !== undefined && left.title === undefined) {
    // What it was spent on is a title, and so is what the plugin says of it besides.
    return { kept: { ...one, entity: '', dependencies: null, more: null }, taken };
  }
  if (ping.url !== undefined && left.url !== ping.url) {
    return { kept: { ...one, entity: ping.host ?? '', dependencies: null, more: null }, taken };
  }
  // An address that is none: nobody knows what stands in it.
  if (ping.url === undefined && addressOf(one) !== undefined && !privacy.keepsAll) {
    return { kept: { ...one, entity: '', dependencies: null, more: null }, taken };
  }
  return { kept: one, taken };
}

/**
 * What a new heartbeat adds to the time of its device: from the one before to it, and from it to the one after; an instant where
 * there is none after. The same two neighbours are the same ping, so that nothing depends on which of them came first.
 */
export function spansOf(before: Seen | undefined, one: Seen, after: Seen | undefined) {
  const between = (from: Seen, to: Seen) => ({
    of: from,
    span: { id: derivedUuid('heartbeats', from.id, to.at), start: from.at, end: to.at },
  });
  const spans: ReturnType<typeof between>[] = [];
  if (before && one.at - before.at <= timeoutMs) spans.push(between(before, one));
  if (after && after.at - one.at <= timeoutMs) spans.push(between(one, after));
  else spans.push({ of: one, span: { id: one.id, start: one.at, end: one.at } });
  return spans;
}
