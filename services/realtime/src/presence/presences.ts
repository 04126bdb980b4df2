import type { Identity } from '@worktide/identity';
import type { State, States } from '@worktide/key-value';
import type { Metrics } from '@worktide/runtime';
import { aboutPerson } from '../sockets/rooms.ts';
import type { Delivery } from '../sockets/server.ts';
import {
  dueAt,
  isTold,
  judge,
  newest,
  nobody,
  type Presence,
  type PresenceRules,
  type Seen,
  settle,
} from './presence.ts';

export interface PersonSeen extends Seen {
  organizationId: string;
  userId: string;
}

/** As it is shown and told. */
export interface ShownPresence {
  userId: string;
  state: Presence['state'];
  since: string | null;
  lastSeenAt: string | null;
  deviceId: string | null;
  app?: string | null;
  version: number;
}

export interface PresencesOptions {
  states: States;
  organization: Identity['organization'];
  deliver: (delivery: Delivery) => Promise<void>;
  /** Something is to be told. */
  onDue?: () => void;
  metrics: Metrics;
  now?: () => number;
}

export interface Presences {
  /** Keeps what was seen, where it is newer. Again, or late, changes nothing. Rejects 503. */
  see(seen: readonly PersonSeen[]): Promise<void>;
  /** Tells what is due: what others have not heard yet, and who has become idle or gone. @returns whether there may be more. */
  tell(): Promise<boolean>;
  /** Of people of one organisation, in the order asked, now. Rejects 503. */
  read(organizationId: string, userIds: readonly string[]): Promise<ShownPresence[]>;
}

/** What was found and done at one claim. */
interface Announced {
  state: State & { id: string };
  rules: PresenceRules;
  now: number;
  presence: Presence;
  /** What others have heard by it. */
  heard: Partial<Presence>;
}

/** Kept after the last change; what is older has nobody but `last_seen_at`. */
const keptMs = 24 * 3_600_000;
const claimAtOnce = 500;
/** Whoever tells has so long; then another does. */
const leaseMs = 10_000;
const maxTries = 10;

const idOf = ({ organizationId, userId }: { organizationId: string; userId: string }): string =>
  `${organizationId}/${userId}`;
const parse = (state: State | undefined): Presence => (state ? (JSON.parse(state.value) as Presence) : nobody);
const iso = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());

/**
 * Who is online, idle or offline. Kept in key-value for all replicas: what was seen last, and what others were told of it.
 * Telling is a step of its own, so that a process which dies between has lost nothing: what is kept and not told is due.
 */
export function createPresences(options: PresencesOptions): Presences {
  const { states, organization, deliver, onDue, now: clock = Date.now } = options;
  const told = options.metrics.counter('worktide_presence_told_total', 'Changes of presence that were told.', [
    'state',
  ]);
  const delay = options.metrics.histogram(
    'worktide_presence_delay_seconds',
    'Time from when somebody was seen to when others were told that they are online.',
    [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60],
  );

  async function rulesOf(organizationId: string): Promise<PresenceRules> {
    const found = await organization(organizationId);
    return {
      idleAfterMs: (found?.settings.idleAfterSeconds ?? 300) * 1_000,
      showsApp: found?.settings.showCurrentApp ?? false,
    };
  }

  function write(
    id: string,
    { revision }: Pick<State, 'revision'>,
    presence: Presence,
    rules: PresenceRules,
    now: number,
  ) {
    return { id, revision, value: JSON.stringify(presence), ttlMs: keptMs, dueAt: dueAt(presence, rules, now) };
  }

  function show(userId: string, presence: Presence, { showsApp }: PresenceRules): ShownPresence {
    const { state, since, seenAt, deviceId, app, version } = presence;
    return {
      userId,
      state,
      since: iso(since),
      lastSeenAt: iso(seenAt),
      deviceId,
      ...(showsApp ? { app: state === 'offline' ? null : app } : {}),
      version,
    };
  }

  async function see(seen: readonly PersonSeen[]): Promise<void> {
    let people = new Map<string, PersonSeen>();
    const now = clock();
    for (const one of seen) {
      // Of what lies ahead no more than now is believed.
      const fact = { ...one, activeAt: Math.min(one.activeAt, now), seenAt: Math.min(one.seenAt, now) };
      const known = people.get(idOf(one));
      people.set(idOf(one), known ? newest(known, fact) : fact);
    }
    for (let i = 0; people.size > 0; i++) {
      if (i === maxTries) throw new Error('others keep changing the same presences');
      const ids = [...people.keys()];
      const found = await states.read(ids);
      const changes = [];
      let isDue = false;
      for (const [n, id] of ids.entries()) {
        const { organizationId, userId: _, ...fact } = people.get(id)!;
        const before = parse(found[n]);
        const after = newest(before, fact);
        if (after.seenAt === before.seenAt && after.activeAt === before.activeAt) continue;
        const rules = await rulesOf(organizationId);
        // What is not to be shown is not kept for the day on which it is.
        const settled = settle(rules.showsApp ? after : { ...after, app: null }, rules, now);
        isDue ||= !isTold(settled);
        changes.push(write(id, found[n] ?? { revision: 0 }, settled, rules, now));
      }
      if (changes.length === 0) return;
      const made = await states.write(changes);
      people = new Map(changes.filter((_, n) => !made[n]).map(({ id }) => [id, people.get(id)!]));
      if (isDue) onDue?.();
    }
  }

  /** Where somebody is, told to who may know if it is news, and what is to be kept then. */
  async function announce(state: State & { id: string }): Promise<Announced> {
    const [organizationId, userId] = state.id.split('/') as [string, string];
    const rules = await rulesOf(organizationId);
    const now = clock();
    const presence = settle(parse(state), rules, now);
    if (isTold(presence)) return { state, rules, now, presence, heard: {} };
    const payload = { ...show(userId, presence, rules), at: new Date(now).toISOString() };
    await deliver({ rooms: aboutPerson(organizationId, userId), event: `user:${presence.state}`, payload });
    told.inc({ state: presence.state });
    if (presence.state === 'online') delay.observe(Math.max(0, now - presence.activeAt) / 1_000);
    const { version, app } = presence;
    return { state, rules, now, presence, heard: { version, toldVersion: version, toldAt: now, toldApp: app } };
  }

  /** More was seen while it was told: that stays, and what others have heard is what they have heard. */
  async function keepAnew({ state: { id }, rules, now, presence, heard }: Announced): Promise<void> {
    for (let i = 0; i < maxTries; i++) {
      const [current] = await states.read([id]);
      const seen = newest(parse(current), presence);
      const next = settle({ ...seen, state: presence.state, since: presence.since, ...heard }, rules, now);
      const [made] = await states.write([write(id, current ?? { revision: 0 }, next, rules, now)]);
      if (made) return;
    }
  }

  return {
    see,
    async tell() {
      const claimed = await states.claim({ now: clock(), limit: claimAtOnce, leaseMs });
      // What fails is due again when its lease ends.
      const outcomes = await Promise.allSettled(claimed.map(announce));
      const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      const made = await states.write(
        done.map(({ state, rules, now, presence, heard }) =>
          write(state.id, state, { ...presence, ...heard }, rules, now),
        ),
      );
      await Promise.all(done.filter((_, i) => !made[i]).map(keepAnew));
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed) throw failed.reason;
      return claimed.length === claimAtOnce;
    },
    async read(organizationId, userIds) {
      const [found, rules] = await Promise.all([
        states.read(userIds.map((userId) => idOf({ organizationId, userId }))),
        rulesOf(organizationId),
      ]);
      const now = clock();
      return userIds.map((userId, i) => {
        const presence = parse(found[i]);
        return show(userId, { ...presence, ...judge(presence, rules, now) }, rules);
      });
    },
  };
}
