import { type Outbox, type Pool, transactionWithEvents } from '@worktide/postgres';
import { applyPrivacy, type PrivacyGuard, type PrivacyKind } from '@worktide/privacy';
import type { Caller } from '@worktide/runtime';
import { type Codec, isProblem, type PingEvent, topics } from '@worktide/schemas';
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
import { erasedWithin, insertHeartbeats, lastSaid, neighboursOf } from './store.ts';

export interface TakeDependencies {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  pings: Codec;
  privacy: PrivacyGuard;
}

/** What became of one heartbeat, in the order sent. */
export type Taken = { heartbeat: Heartbeat } | { errors: FieldErrors };

/** Pings of one record on the log. */
const pingsOfRecord = 500;

/**
 * Takes heartbeats of one request: what may be kept of them, and the pings that follow from them, in one transaction. Durable when
 * it resolves, whether the log is there or not; sent again they change nothing.
 * @throws 503 while PostgreSQL is away, or the rules of the organisation are not known.
 */
export async function takeHeartbeats(
  deps: TakeDependencies,
  caller: Caller,
  values: readonly unknown[],
  sender: Omit<Sender, 'userId'>,
): Promise<Taken[]> {
  const { organizationId, userId } = caller;
  const owner = { organizationId, userId };
  const deviceId = caller.deviceId ?? caller.sessionId ?? userId;
  const rules = await deps.privacy.of(caller);
  await deps.pings.prepare();
  const nowMs = Date.now();
  const read = values.map((value) => readHeartbeat(value, { ...sender, userId }));
  const taken: PrivacyKind[] = [];

  const { result } = await transactionWithEvents(
    { pool: deps.pool, outbox: deps.outbox, tenant: organizationId, lock: `heartbeats ${organizationId} ${userId}` },
    async (client, tell) => {
      taken.length = 0;
      const results: Taken[] = read.map((one) => (isHeartbeat(one) ? { heartbeat: one } : { errors: one }));
      const inOrder = read
        .map((one, index) => ({ one, index }))
        .filter((each): each is { one: Heartbeat; index: number } => isHeartbeat(each.one))
        .sort((a, b) => a.one.at - b.one.at);
      const first = inOrder[0];
      if (!first) return results;

      const erased = await erasedWithin(client, owner, deviceId, first.one.at, inOrder.at(-1)!.one.at);
      let last = inOrder.some(({ one }) => hasPlaceholder(one))
        ? await lastSaid(client, owner, first.one.at)
        : nothingSaid;
      const keep: Heartbeat[] = [];
      for (const { one: given, index } of inOrder) {
        const one = withLast(given, last);
        const ping = pingOf(one, deviceId, nowMs);
        if (isProblem(ping)) {
          results[index] = { errors: { time: [ping.message] } };
          continue;
        }
        results[index] = { heartbeat: one };
        if (one.project !== null) last = one;
        const { kept, taken: why } = keptHeartbeat(one, ping, rules, caller, nowMs);
        taken.push(...why);
        if (kept && !erased.some(({ from, to }) => from <= one.at && one.at < to)) keep.push(kept);
      }
      if (keep.length === 0) return results;

      const neighbours = await neighboursOf(client, owner, deviceId, [...new Set(keep.map(({ at }) => at))]);
      const fresh = await insertHeartbeats(client, owner, deviceId, keep);
      const events = new Map<string, PingEvent>();
      for (const [i, one] of keep.entries()) {
        if (!fresh.has(one.id)) continue;
        const near = neighbours.get(one.at)!;
        const before = later(
          near.before,
          keep.slice(0, i).findLast(({ at }) => at < one.at),
        );
        const after = earlier(
          near.after,
          keep.slice(i + 1).find(({ at }) => at > one.at),
        );
        for (const { of, span } of spansOf(before, one, after)) {
          const ping = pingOf(of, deviceId, nowMs, span);
          if (isProblem(ping)) continue;
          for (const piece of applyPrivacy(rules, ping, caller, nowMs).pings) events.set(piece.id, piece);
        }
      }
      const all = [...events.values()];
      for (let from = 0; from < all.length; from += pingsOfRecord) {
        const record = { organizationId, userId, receivedAt: nowMs, pings: all.slice(from, from + pingsOfRecord) };
        tell({ topic: topics.pings.name, key: userId, value: deps.pings.encode(record) });
      }
      return results;
    },
  );
  deps.privacy.taken(taken);
  return result;
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
