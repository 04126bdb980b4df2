/** Whether somebody is at work, as far as their devices tell. */
export type PresenceState = 'online' | 'idle' | 'offline';

/** What was seen of somebody, in epoch milliseconds. */
export interface Seen {
  /** Active. */
  activeAt: number;
  /** Active or idle. */
  seenAt: number;
  deviceId: string | null;
  app: string | null;
}

/** Somebody's presence, as it is kept: of what was seen the newest, so that late or repeated events turn nothing back. */
export interface Presence extends Seen {
  state: PresenceState;
  since: number;
  /** Rises with everything that others are to be told. */
  version: number;
  /** What they were told last, and when. */
  toldVersion: number;
  toldAt: number;
  toldApp: string | null;
}

/** Nothing seen for so long: whoever it was has gone. */
export const offlineAfterMs = 300_000;
/** Another application is told no more often. */
export const appEveryMs = 10_000;

/** What an organisation says of it. */
export interface PresenceRules {
  idleAfterMs: number;
  /** Whether others see the application. */
  showsApp: boolean;
}

export const nobody: Presence = {
  activeAt: 0,
  seenAt: 0,
  deviceId: null,
  app: null,
  state: 'offline',
  since: 0,
  version: 0,
  toldVersion: 0,
  toldAt: 0,
  toldApp: null,
};

/** The newest of both. */
export function newest<S extends Seen>(one: S, other: Seen): S {
  // A timer that is started says nothing of a device.
  const [last, first] = other.seenAt > one.seenAt ? [other, one] : [one, other];
  return {
    ...one,
    activeAt: Math.max(one.activeAt, other.activeAt),
    seenAt: Math.max(one.seenAt, other.seenAt),
    deviceId: last.deviceId ?? first.deviceId,
    app: last.app ?? first.app,
  };
}

/** The state at a moment, and since when. Only facts and the clock decide, so that every replica comes to the same. */
export function judge(presence: Presence, { idleAfterMs }: PresenceRules, now: number) {
  const { activeAt, seenAt, state: was, since } = presence;
  const is = (state: PresenceState, from: number) => ({ state, since: state === was ? since : from });
  if (now >= seenAt + offlineAfterMs) return is('offline', seenAt === 0 ? 0 : seenAt + offlineAfterMs);
  if (now < activeAt + idleAfterMs) return is('online', activeAt);
  // Who comes back and does nothing has been idle since they came back.
  return is('idle', was === 'offline' ? seenAt : activeAt + idleAfterMs);
}

const isOtherApp = ({ state, app, toldApp }: Presence, { showsApp }: PresenceRules): boolean =>
  showsApp && state !== 'offline' && app !== toldApp;

/** As it is now: of a new version where others are to hear of it. */
export function settle(presence: Presence, rules: PresenceRules, now: number): Presence {
  const { state, since } = judge(presence, rules, now);
  const settled = { ...presence, state, since };
  const isNews =
    state !== presence.state || (isOtherApp(settled, rules) && now >= presence.toldAt + appEveryMs && isTold(presence));
  return isNews ? { ...settled, version: Math.max(now, presence.version + 1) } : settled;
}

export const isTold = ({ version, toldVersion }: Presence): boolean => toldVersion >= version;

/** When something is to be done about it next; null: not before something is seen. */
export function dueAt(presence: Presence, rules: PresenceRules, now: number): number | null {
  if (!isTold(presence)) return now;
  const { state, activeAt, seenAt, toldAt } = presence;
  if (state === 'offline') return null;
  const changesAt = Math.min(
    seenAt + offlineAfterMs,
    state === 'online' ? activeAt + rules.idleAfterMs : Number.POSITIVE_INFINITY,
  );
  return isOtherApp(presence, rules) ? Math.min(changesAt, toldAt + appEveryMs) : changesAt;
}
