import type { Identity } from '@worktide/identity';
import { type Outbox, type Pool, type PoolClient, transactionWithEvents } from '@worktide/postgres';
import { AppError, describeError, type KnownDays, type Logger, type Metrics } from '@worktide/runtime';
import type { Codec, OrganizationSettings } from '@worktide/schemas';
import type { Span } from '../merge/index.ts';
import { byIndex } from '../store/plans.ts';
import { unionOf } from '../sync/union.ts';
import { workedOf } from '../timers/active.ts';
import { judgeIdle, type Verdict, type Watched } from './idle.ts';
import { aroundDay, dateAfter, dayOf, knownZone, workedOn } from './overtime.ts';
import {
  activeWithin,
  changedDates,
  endIdle,
  endOvertime,
  entriesToWatch,
  entriesWithin,
  idleAlerts,
  keyOf,
  type NewAlert,
  nextPeople,
  type OwnedEntry,
  overtimeDates,
  type Person,
  raise,
  recordsOf,
  type StoredIdleAlert,
  scannedNow,
  scannedUntil,
} from './store.ts';

export interface AlertScanOptions {
  pool: Pool;
  outbox: Outbox;
  /** Of topic `alerts`. */
  codec: Codec;
  identity: Pick<Identity, 'organization'>;
  /** Whether activity comes in; always unless said. */
  sees?: () => Promise<boolean>;
  log: Logger;
  metrics: Metrics;
  now?: () => number;
  /** What a statement about some people may take. */
  statementMs?: number;
}

export interface AlertScan {
  /**
   * One scan. Where another process is at it, this one leaves it the rest.
   * @returns whether it was whole. @throws 503; what was done by then stays done.
   */
  scan(signal?: AbortSignal): Promise<boolean>;
}

const day = 24 * 3_600_000;
/** How far back anything is looked at: the longest an entry may be. */
const farBack = 31 * day;
/** A timer that this scan sees first: how long ago its time without activity may have ended. */
const newTimerBack = day;
/** Changes are seen with their commit, up to so long after their `updated_at`; clocks of processes differ, too. */
const lateMs = 120_000;
/** People of one transaction. */
const peopleAtOnce = 200;
/** Organisations asked about at a time. */
const asksAtOnce = 8;
const nobody: Person = {
  organizationId: '00000000-0000-0000-0000-000000000000',
  userId: '00000000-0000-0000-0000-000000000000',
};

type Thresholds = Pick<OrganizationSettings, 'idleAlertAfterSeconds' | 'overtimeAfterSeconds'>;

/**
 * Finds timers that run on empty chairs and days that got too long (rule Alerts). What an alert is about is its identity
 * in the database, so a scan that is missed, repeated or done by two changes nothing.
 */
export function createAlertScan(options: AlertScanOptions): AlertScan {
  const {
    pool,
    outbox,
    codec,
    identity,
    log,
    metrics,
    sees = async () => true,
    now: clock = Date.now,
    statementMs = 5_000,
  } = options;
  const changed = metrics.counter('worktide_alerts_total', 'Alerts raised and resolved by scans', ['type', 'what']);
  const seconds = metrics.histogram(
    'worktide_alert_scan_seconds',
    'Time of one scan for alerts',
    [0.01, 0.1, 0.5, 1, 5, 15, 60],
  );
  const skipped = metrics.counter(
    'worktide_alert_people_skipped_total',
    'People whom a scan left for the next: their thresholds cannot be known, or looking at them takes too long',
  );
  const knownDays: KnownDays = new Map();
  /** The last time in which no activity came in. */
  let blind = { from: Number.NEGATIVE_INFINITY, until: Number.NEGATIVE_INFINITY, isOver: true };

  async function scan(signal?: AbortSignal): Promise<boolean> {
    const end = seconds.startTimer();
    const now = clock();
    // Before the first scan there is nothing to be told of.
    const until = (await scannedUntil(pool)) ?? (await scannedNow(pool, now - lateMs));
    if (await sees()) blind = { ...blind, isOver: true };
    else blind = { from: blind.isOver ? now : blind.from, until: now, isOver: false };
    const pass: Pass = { now, blind, seenUntil: until, since: Math.max(until - lateMs, now - farBack) };
    const thresholds = thresholdsOf();
    let isWhole = true;
    for (let after: Person | undefined = nobody; after; ) {
      if (signal?.aborted) return false;
      const people = await nextPeople(pool, { after, since: pass.since, limit: peopleAtOnce });
      after = people.length === peopleAtOnce ? people.at(-1) : undefined;
      const known = await thresholds(people);
      const judged = people.filter(({ organizationId }) => known.get(organizationId));
      const left = people.filter(({ organizationId }) => !known.has(organizationId)).length;
      if (left > 0) {
        isWhole = false;
        skipped.inc(left);
      }
      const verdict = judged.length > 0 ? await judgeApart(judged, known as Map<string, Thresholds>, pass) : 'done';
      if (verdict === 'elsewhere') return false;
      if (verdict === 'left') isWhole = false;
    }
    // What was left is looked at next time, as far back as it was to be now.
    if (isWhole) await scannedNow(pool, now);
    end();
    return true;
  }

  /**
   * Thresholds of organisations, each asked for once a scan; absent where auth is away and they were never known, which is
   * found out once. Undefined: there is no such organisation.
   */
  function thresholdsOf() {
    const known = new Map<string, Thresholds | undefined>();
    let away = false;
    return async (people: readonly Person[]): Promise<ReadonlyMap<string, Thresholds | undefined>> => {
      const ids = [...new Set(people.map(({ organizationId }) => organizationId))].filter((id) => !known.has(id));
      for (let from = 0; from < ids.length && !away; from += asksAtOnce) {
        const some = ids.slice(from, from + asksAtOnce);
        const answers = await Promise.allSettled(some.map((id) => identity.organization(id)));
        for (const [i, answer] of answers.entries()) {
          if (answer.status === 'fulfilled') known.set(some[i]!, answer.value?.settings);
          else if (!away) {
            away = true;
            log.warn({ err: answer.reason }, `alerts: thresholds are not known: ${describeError(answer.reason)}`);
          }
        }
      }
      return known;
    };
  }

  /**
   * As `judge`; where it takes too long, in halves: what is too much of one person's keeps nobody else's waiting. Such a
   * person is left for the next scan, told, and counted.
   */
  async function judgeApart(
    people: readonly Person[],
    known: Map<string, Thresholds>,
    pass: Pass,
  ): Promise<'done' | 'left' | 'elsewhere'> {
    try {
      return (await judge(people, known, pass)) ? 'done' : 'elsewhere';
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'DEPENDENCY_TIMEOUT') throw error;
      if (people.length === 1) {
        skipped.inc();
        log.warn({ err: error, ...people[0] }, 'alerts: what there is of one person could not be looked at in time');
        return 'left';
      }
      let worst: 'done' | 'left' = 'done';
      for (const half of [people.slice(0, people.length >> 1), people.slice(people.length >> 1)]) {
        const verdict = await judgeApart(half, known, pass);
        if (verdict === 'elsewhere') return verdict;
        if (verdict === 'left') worst = verdict;
      }
      return worst;
    }
  }

  /**
   * One transaction: what is so, what follows, and what others learn of it.
   * @returns false where another process is at it.
   */
  async function judge(people: readonly Person[], known: Map<string, Thresholds>, pass: Pass): Promise<boolean> {
    await codec.prepare();
    const terms = { pool, outbox, whenFull: 'leave' } as const;
    const { result: changes } = await transactionWithEvents(terms, async (client, tell) => {
      // The transaction's: it ends with its holder, behind a pooler too.
      const { rows: locks } = await client.query<{ mine: boolean }>(
        `SELECT pg_try_advisory_xact_lock(hashtextextended('worktide alerts', 0)) AS mine`,
      );
      if (!locks[0]!.mine) return undefined;
      await byIndex(client);
      await client.query(`SET LOCAL statement_timeout = ${statementMs}`);
      const entries = await entriesToWatch(client, people, pass.since);
      const idle = await judgeEntries(client, entries, known, pass);
      const overtime = await judgeDays(client, people, entries, known, pass);
      const rows = [
        ...(await endIdle(client, idle.ended, pass.now)),
        ...(await endOvertime(client, overtime.over, pass.now)),
        ...(await raise(client, [...idle.raised, ...overtime.raised], pass.now)),
      ];
      tell(...recordsOf(rows, codec));
      return rows;
    });
    if (!changes) return false;
    for (const { type, resolved_at } of changes) {
      changed.inc({ type, what: resolved_at === null ? 'raised' : 'resolved' });
    }
    return true;
  }

  async function judgeEntries(
    client: PoolClient,
    entries: readonly OwnedEntry[],
    known: Map<string, Thresholds>,
    pass: Pass,
  ): Promise<{ raised: NewAlert[]; ended: { organizationId: string; id: string; until: number }[] }> {
    // Nobody looks further back for what is new than the longest threshold.
    const alerts = await idleAlerts(client, entries, pass.since - 2 * day);
    const watch = (owned: OwnedEntry, back: number): Watching => {
      const { idleAlertAfterSeconds } = known.get(owned.organizationId)!;
      return watchOf(owned, alerts.get(owned.entry.id) ?? [], idleAlertAfterSeconds * 1_000, pass, back);
    };
    const verdicts = async (watching: readonly Watching[]): Promise<Verdict[]> => {
      const spans = watching.map(({ owned: { organizationId, userId }, watched: { from, now } }) => ({
        organizationId,
        userId,
        start: from,
        end: Math.max(from, now),
      }));
      const active = await activeWithin(client, spans);
      return watching.map(({ watched }, i) => judgeIdle({ ...watched, active: active[i]! }));
    };

    const first = entries.map((owned) => watch(owned, 0));
    const found = await verdicts(first);
    // Where it began is looked for further back: what it is called by must not hang on when it is looked at.
    const cut = first.flatMap((watching, i) =>
      found[i]!.isCut && watching.watched.from > watching.owned.entry.startedAt ? [i] : [],
    );
    const further = await verdicts(cut.map((i) => watch(first[i]!.owned, farBack)));
    for (const [j, i] of cut.entries()) {
      const { from } = first[i]!.watched;
      const { raised, ...rest } = further[j]!;
      found[i] = { ...rest, raised: raised.filter(({ until }) => until === null || until > from) };
    }

    return {
      ended: found.flatMap(({ ended }, i) => (ended ? [{ organizationId: entries[i]!.organizationId, ...ended }] : [])),
      raised: found.flatMap(({ raised }, i) =>
        raised
          .filter(({ until }) => until !== null || !mayBeBusy(pass, first[i]!.watched.thresholdMs))
          .map((stretch) => idleAlert(entries[i]!, stretch)),
      ),
    };
  }

  function idleAlert(
    { organizationId, userId, entry }: OwnedEntry,
    { from, until }: Verdict['raised'][number],
  ): NewAlert {
    const zone = knownZone(entry.timezone);
    return {
      organizationId,
      userId,
      type: 'idle',
      date: dayOf(from, zone, knownDays),
      timeEntryId: entry.id,
      idleFrom: from,
      idleUntil: until,
      message: `A timer runs without activity since ${new Date(from).toISOString()}.`,
    };
  }

  async function judgeDays(
    client: PoolClient,
    people: readonly Person[],
    watched: readonly OwnedEntry[],
    known: Map<string, Thresholds>,
    pass: Pass,
  ): Promise<{ raised: NewAlert[]; over: (Person & { date: string })[] }> {
    const { now, since } = pass;
    const dates = new Map<string, { person: Person; dates: Set<string> }>(
      people.map((person) => [keyOf(person), { person, dates: new Set() }]),
    );
    const touched = new Set<string>();
    for (const { first, last, ...person } of await changedDates(client, people, { since, from: now - farBack, now })) {
      touched.add(keyOf(person));
      // A day may lie on the next or the last date of UTC.
      for (let date = dateAfter(first, -1); date <= dateAfter(last); date = dateAfter(date)) {
        dates.get(keyOf(person))!.dates.add(date);
      }
    }
    const changedPeople = people.filter((person) => touched.has(keyOf(person)));
    for (const { date, ...person } of await overtimeDates(client, changedPeople)) {
      dates.get(keyOf(person))!.dates.add(date);
    }
    for (const { entry, ...person } of watched) {
      if (entry.endedAt !== null || entry.deleted) continue;
      const zone = knownZone(entry.timezone);
      const last = dayOf(now, zone, knownDays);
      for (let date = dayOf(Math.max(since, entry.startedAt), zone, knownDays); date <= last; date = dateAfter(date)) {
        dates.get(keyOf(person))!.dates.add(date);
      }
    }

    const asked = [...dates.values()].filter((one) => one.dates.size > 0);
    const entries = await entriesWithin(
      client,
      asked.flatMap((one) => unionOf([...one.dates].map(aroundDay)).map((span) => ({ ...one.person, ...span }))),
    );
    const raised: NewAlert[] = [];
    const over: (Person & { date: string })[] = [];
    for (const { person, dates: days } of asked) {
      const { overtimeAfterSeconds } = known.get(person.organizationId)!;
      const times = (entries.get(keyOf(person)) ?? []).map((entry) => ({
        timezone: knownZone(entry.timezone),
        worked: workedOf(entry, now),
      }));
      for (const date of days) {
        if (workedOn(date, times, knownDays) <= overtimeAfterSeconds * 1_000) over.push({ ...person, date });
        else raised.push(overtimeAlert(person, date, overtimeAfterSeconds));
      }
    }
    return { raised, over };
  }

  return { scan };
}

interface Pass {
  now: number;
  /** When no activity came in. */
  blind: { from: number; until: number };
  /** Up to when the last scan saw. */
  seenUntil: number;
  /** Entries changed since are looked at. */
  since: number;
}

/**
 * Whether who seems to do nothing may only be unheard: the log was away for a good part of the threshold, and what waited
 * for it may still be on its way.
 */
const mayBeBusy = ({ now, blind: { from, until } }: Pass, thresholdMs: number): boolean =>
  until - from >= thresholdMs / 2 && now - until < thresholdMs;

interface Watching {
  owned: OwnedEntry;
  watched: Omit<Watched, 'active'>;
}

/** @param back how far back to look at least, where its start is known to lie before. */
function watchOf(
  owned: OwnedEntry,
  alerts: readonly StoredIdleAlert[],
  thresholdMs: number,
  { now, seenUntil, since }: Pass,
  back: number,
): Watching {
  const { entry } = owned;
  const open = alerts.find(({ until }) => until === null);
  const isNew = entry.createdAt >= since && entry.endedAt === null;
  const recent = open?.from ?? (isNew ? now - newTimerBack : since - thresholdMs);
  const from = Math.max(entry.startedAt, Math.min(recent, now - back), now - farBack);
  const clip = ({ start, end }: Span): Span => ({ start: Math.max(start, from), end: Math.min(end, now) });
  return {
    owned,
    watched: {
      from,
      now,
      isRunning: entry.status === 'RUNNING' && !entry.deleted && entry.startedAt <= now,
      worked: entry.deleted
        ? []
        : workedOf(entry, now)
            .map(clip)
            .filter(({ start, end }) => start < end),
      thresholdMs,
      alerts,
      seenUntil: Math.max(seenUntil, open?.createdAt ?? 0),
    },
  };
}

const overtimeAlert = ({ organizationId, userId }: Person, date: string, afterSeconds: number): NewAlert => ({
  organizationId,
  userId,
  type: 'overtime',
  date,
  timeEntryId: null,
  idleFrom: null,
  idleUntil: null,
  message: `More than ${hours(afterSeconds)} of work on ${date}.`,
});

const hours = (seconds: number): string => {
  const minutes = Math.round(seconds / 60);
  return [minutes >= 60 ? `${Math.floor(minutes / 60)} h` : '', minutes % 60 > 0 ? `${minutes % 60} min` : '']
    .filter(Boolean)
    .join(' ');
};
