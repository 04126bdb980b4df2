import { type Outbox, type Pool, type Queryable, transactionWithEvents } from '@worktide/postgres';
import { applyPrivacy, type CompiledPrivacy, type PrivacyGuard, type PrivacyKind } from '@worktide/privacy';
import type { Caller } from '@worktide/runtime';
import { type Codec, isProblem, type PingEvent } from '@worktide/schemas';
import { deviceOf } from '../store/device-of.ts';
import { type ErasedRange, erasedRanges, rangesOf } from '../store/erased-ranges.ts';
import { tellPings } from '../store/tell-pings.ts';
import {
  type FieldErrors,
  type Heartbeat,
  isHeartbeat,
  lastBranch,
  lastLanguage,
  lastProject,
  readHeartbeat,
  type Sender,
} from './heartbeat.ts';
import { keptHeartbeat, pingOf, spansOf } from './pings.ts';
import { insertHeartbeats, instantKey, lastSaid, type Neighbours, neighboursOf, type OwnHeartbeat } from './store.ts';

export interface TakeDependencies {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  pings: Codec;
  privacy: PrivacyGuard;
}

/** What became of one heartbeat, in the order sent. */
export type Taken = { heartbeat: Heartbeat } | { errors: FieldErrors };

/** Heartbeats of one request. */
export interface Sending {
  caller: Caller;
  values: readonly unknown[];
  sender: Omit<Sender, 'userId'>;
}

/** One of them, and where its answer goes. */
interface Given {
  one: Heartbeat;
  results: Taken[];
  index: number;
}

/**
 * Takes heartbeats of some requests of one organisation: what may be kept of them, and the pings that follow from them, in one
 * transaction. Durable when it resolves, whether the log is there or not; sent again they change nothing.
 * @returns of each request what became of its heartbeats, in the order sent.
 * @throws 503 while PostgreSQL is away, or the rules of the organisation are not known.
 */
export async function takeHeartbeats(
  deps: TakeDependencies,
  organizationId: string,
  sendings: readonly Sending[],
): Promise<Taken[][]> {
  const rules = await deps.privacy.of({ organizationId });
  await deps.pings.prepare();
  const nowMs = Date.now();
  const read = sendings.map(({ caller, values, sender }) =>
    values.map((value) => readHeartbeat(value, { ...sender, userId: caller.userId })),
  );
  const users = [...new Set(sendings.map(({ caller }) => caller.userId))].sort();
  // One after the other for each person, as `eraseTime` does.
  const lock = users.map((userId) => `heartbeats ${organizationId} ${userId}`);
  let taken: PrivacyKind[] = [];

  const { result } = await transactionWithEvents(
    { pool: deps.pool, outbox: deps.outbox, tenant: organizationId, lock },
    async (client, tell) => {
      taken = [];
      const results = read.map((all): Taken[] =>
        all.map((one) => (isHeartbeat(one) ? { heartbeat: one } : { errors: one })),
      );
      const byDevice = Map.groupBy(sendings.keys(), (i) => deviceKey(sendings[i]!.caller));
      const kept: OwnHeartbeat[] = [];
      const devices: { caller: Caller; keep: OwnHeartbeat[] }[] = [];
      const instants = read.flat().flatMap((one) => (isHeartbeat(one) ? one.at : []));
      if (instants.length === 0) return results;
      const [from, to] = [instants.reduce((a, b) => Math.min(a, b)), instants.reduce((a, b) => Math.max(a, b))];
      const erased = await erasedRanges(client, organizationId, users, { from, to });
      for (const indexes of byDevice.values()) {
        const { caller } = sendings[indexes[0]!]!;
        const given = indexes.flatMap((i) =>
          read[i]!.flatMap((one, index): Given[] => (isHeartbeat(one) ? [{ one, results: results[i]!, index }] : [])),
        );
        const { keep, why } = await keepOf(client, caller, given, { rules, erased, nowMs });
        taken.push(...why);
        kept.push(...keep);
        devices.push({ caller, keep });
      }
      if (kept.length === 0) return results;

      const asked = new Map(kept.map((one) => [instantKey(one), one]));
      const neighbours = await neighboursOf(client, organizationId, [...asked.values()]);
      const fresh = await insertHeartbeats(client, organizationId, kept);
      for (const { caller, keep } of devices) {
        const all = pingsFrom(keep, { fresh, neighbours, rules, caller, nowMs });
        tellPings(deps.pings, tell, caller, all, { nowMs });
      }
      return results;
    },
  );
  deps.privacy.taken(taken);
  return result;
}

const deviceKey = (caller: Caller): string => `${caller.userId} ${deviceOf(caller)}`;

/** What may be kept of a device's heartbeats, in order of time; their answers are set. */
async function keepOf(
  client: Queryable,
  caller: Caller,
  given: readonly Given[],
  { rules, erased, nowMs }: { rules: CompiledPrivacy; erased: readonly ErasedRange[]; nowMs: number },
): Promise<{ keep: OwnHeartbeat[]; why: PrivacyKind[] }> {
  const { userId } = caller;
  const deviceId = deviceOf(caller);
  const inOrder = given.toSorted((a, b) => a.one.at - b.one.at);
  const ranges = rangesOf(erased, { userId, deviceId });
  const keep: OwnHeartbeat[] = [];
  const why: PrivacyKind[] = [];
  let last = inOrder.some(({ one }) => hasPlaceholder(one))
    ? await lastSaid(client, caller, inOrder[0]!.one.at)
    : nothingSaid;
  for (const { one: sent, results, index } of inOrder) {
    const one = withLast(sent, last);
    const ping = pingOf(one, deviceId, nowMs);
    if (isProblem(ping)) {
      results[index] = { errors: { time: [ping.message] } };
      continue;
    }
    results[index] = { heartbeat: one };
    const { kept, taken } = keptHeartbeat(one, ping, rules, caller, nowMs);
    why.push(...taken);
    if (!kept || ranges.some(({ from, to }) => from <= one.at && one.at < to)) continue;
    keep.push({ ...kept, userId, deviceId });
    // Of what is kept nowhere nothing goes on.
    if (kept.project !== null) last = kept;
  }
  return { keep, why };
}

/** The pings that follow from a device's new heartbeats. */
function pingsFrom(
  keep: readonly OwnHeartbeat[],
  {
    fresh,
    neighbours,
    rules,
    caller,
    nowMs,
  }: {
    fresh: ReadonlySet<string>;
    neighbours: ReadonlyMap<string, Neighbours>;
    rules: CompiledPrivacy;
    caller: Caller;
    nowMs: number;
  },
): PingEvent[] {
  const events = new Map<string, PingEvent>();
  for (const [i, one] of keep.entries()) {
    if (!fresh.has(one.id)) continue;
    const near = neighbours.get(instantKey(one))!;
    const before = later(
      near.before,
      keep.slice(0, i).findLast(({ at }) => at < one.at),
    );
    const after = earlier(
      near.after,
      keep.slice(i + 1).find(({ at }) => at > one.at),
    );
    for (const { of, span } of spansOf(before, one, after)) {
      const ping = pingOf(of, one.deviceId, nowMs, span);
      if (isProblem(ping)) continue;
      for (const piece of applyPrivacy(rules, ping, caller, nowMs).pings) events.set(piece.id, piece);
    }
  }
  return [...events.values()];
}

const nothingSaid = { project: null, branch: null, language: null };

const hasPlaceholder = ({ project, branch, language }: Heartbeat): boolean =>
  project === lastProject || branch === lastBranch || language === lastLanguage;

const withLast = (one: Heartbeat, last: Pick<Heartbeat, 'project' | 'branch' | 'language'>): Heartbeat => ({
  ...one,
  project: one.project === lastProject ? last.project : one.project,
  branch: one.branch === lastBranch ? last.branch : one.branch,
  language: one.language === lastLanguage ? last.language : one.language,
});

const later = (a: Heartbeat | undefined, b: Heartbeat | undefined): Heartbeat | undefined =>
  a && b ? (a.at >= b.at ? a : b) : (a ?? b);
const earlier = (a: Heartbeat | undefined, b: Heartbeat | undefined): Heartbeat | undefined =>
  a && b ? (a.at <= b.at ? a : b) : (a ?? b);
