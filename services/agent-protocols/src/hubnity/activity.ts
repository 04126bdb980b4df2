import { type Outbox, type Pool, type PoolClient, type Tell, transactionWithEvents } from '@worktide/postgres';
import { applyPrivacy, type PrivacyGuard } from '@worktide/privacy';
import { type Caller, derivedUuid } from '@worktide/runtime';
import { type Codec, checkPing, defaultPingLimits, isProblem, type PingEvent } from '@worktide/schemas';
import { tellPings } from '../store/tell-pings.ts';

export interface ActivityDependencies {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  pings: Codec;
  privacy: PrivacyGuard;
}

/** The desktop names no machine. One timer of a person runs, so one desktop at a time has something to say. */
export const deviceId = 'hubnity';
/** Its browsers go unnamed, too. */
const browser = 'Browser';
/** It says every 45 s whether somebody is there, every 90 s while its window is hidden. Beyond that nobody knows. */
export const heartbeatGapMs = 150_000;
/** What is sent at once stays far below a record's size; privacy may cut a ping into several. */
const pingsOfRecord = 200;

/** ECMAScript has no day beyond this. */
const maxInstant = 8.64e15;

/** What was seen, from `start` to `end` in ms. */
interface Observed {
  id: string;
  start: number;
  end: number;
  app: string;
  source: string;
  state: 'active' | 'idle';
  url?: string;
  title?: string;
  timeEntryId?: string;
}

/** The ping that it is; undefined where there cannot be such a one. */
function pingOf({ start, end, ...more }: Observed, nowMs: number): PingEvent | undefined {
  // Of no day that there is.
  if (Math.abs(start) > maxInstant || Math.abs(end) > maxInstant) return undefined;
  const given = { ...more, startedAt: new Date(start).toISOString(), endedAt: new Date(end).toISOString() };
  const ping = checkPing(given, { nowMs, deviceId, limits: defaultPingLimits });
  return isProblem(ping) ? undefined : ping;
}

/** What was seen goes onto the log, in one transaction with what is remembered of it. @throws 503. */
async function take(
  deps: ActivityDependencies,
  caller: Caller,
  nowMs: number,
  work: (client: PoolClient) => Promise<PingEvent[]>,
): Promise<void> {
  const { organizationId, userId } = caller;
  const rules = await deps.privacy.of(caller);
  await deps.pings.prepare();
  const { result } = await transactionWithEvents(
    { pool: deps.pool, outbox: deps.outbox, tenant: organizationId, lock: `hubnity ${organizationId} ${userId}` },
    async (client, tell: Tell) => {
      const judged = (await work(client)).map((ping) => applyPrivacy(rules, ping, caller, nowMs));
      const kept = judged.flatMap(({ pings }) => pings);
      tellPings(deps.pings, tell, caller, kept, { nowMs, atOnce: pingsOfRecord });
      return judged.flatMap(({ taken }) => taken);
    },
  );
  deps.privacy.taken(result);
}

/**
 * The time between two heartbeats is active where one of them says so: one that ends a timer says that nobody is there any more, and
 * what was worked before it is not idle. Pure.
 */
export function between(
  userId: string,
  before: { at: number; active: boolean } | undefined,
  now: { at: number; active: boolean },
): Observed {
  const goesOn = before !== undefined && before.at < now.at && now.at - before.at <= heartbeatGapMs;
  const start = goesOn ? before.at : now.at;
  return {
    id: derivedUuid('hubnity-heartbeat', userId, start, now.at),
    start,
    end: now.at,
    app: 'afk',
    source: 'afk',
    state: now.active || (goesOn && before.active) ? 'active' : 'idle',
  };
}

/** Takes a heartbeat; durable when it resolves. @throws 503. */
export async function takeHeartbeat(
  deps: ActivityDependencies,
  caller: Caller,
  active: boolean,
  nowMs: number,
): Promise<void> {
  const whose = [caller.organizationId, caller.userId];
  await take(deps, caller, nowMs, async (client) => {
    const { rows } = await client.query<{ at: string; active: boolean }>(
      'SELECT at_ms AS at, active FROM agent_protocols.hubnity_heartbeats WHERE organization_id = $1 AND user_id = $2',
      whose,
    );
    const [last] = rows;
    await client.query(
      `INSERT INTO agent_protocols.hubnity_heartbeats (organization_id, user_id, at_ms, active) VALUES ($1, $2, $3, $4)
       ON CONFLICT (organization_id, user_id) DO UPDATE SET at_ms = excluded.at_ms, active = excluded.active`,
      [...whose, nowMs, active],
    );
    const before = last && { at: Number(last.at), active: last.active };
    const ping = pingOf(between(caller.userId, before, { at: nowMs, active }), nowMs);
    return ping ? [ping] : [];
  });
}

/** A page that somebody was on, as the desktop tells it. */
export interface Visit {
  timeEntryId: string;
  url: string;
  title?: string | null | undefined;
  /** Seconds. */
  timeSpent: number;
  startTime?: string | null | undefined;
  endTime?: string | null | undefined;
}
export interface PlacedVisit extends Visit {
  start: number;
  end: number;
}

/**
 * When visits were. The desktop says how long, in their order, and not when: so they lie back to back, and the last ends when it was
 * heard of. Sent again with more behind them they cover the same time. Pure.
 */
export function placed(visits: readonly Visit[], nowMs: number): PlacedVisit[] {
  let next = nowMs;
  return visits
    .map((visit) => ({ visit, ms: visit.timeSpent * 1_000 }))
    .reverse()
    .map(({ visit, ms }) => {
      const start = visit.startTime ? Date.parse(visit.startTime) : Number.NaN;
      const end = visit.endTime ? Date.parse(visit.endTime) : Number.NaN;
      if (!Number.isNaN(start)) return { ...visit, start, end: Number.isNaN(end) ? start + ms : end };
      if (!Number.isNaN(end)) return { ...visit, start: end - ms, end };
      next -= ms;
      return { ...visit, start: next, end: next + ms };
    })
    .reverse();
}

/** Takes visits; durable when it resolves. @returns those that can have been. @throws 503. */
export async function takeVisits(
  deps: ActivityDependencies,
  caller: Caller,
  visits: readonly Visit[],
  nowMs: number,
): Promise<{ id: string; visit: PlacedVisit }[]> {
  const taken: { id: string; visit: PlacedVisit }[] = [];
  const pings: PingEvent[] = [];
  for (const visit of placed(visits, nowMs)) {
    const { url, title, timeEntryId, start, end } = visit;
    const id = derivedUuid('hubnity-visit', caller.userId, timeEntryId, url, start, end);
    const ping = pingOf(
      { id, start, end, app: browser, source: 'web', state: 'active', url, timeEntryId, ...(title ? { title } : {}) },
      nowMs,
    );
    if (!ping) continue;
    taken.push({ id, visit });
    pings.push(ping);
  }
  if (pings.length > 0) await take(deps, caller, nowMs, async () => pings);
  return taken;
}
