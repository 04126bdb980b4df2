import type { AccessTokenClaims, Pause } from '@worktide/schemas';
import type { Revocation } from './auth-client.ts';

type UserState = Extract<Revocation, { kind: 'user' }>;

/** What is known of the feed, for lookups by id. */
export interface RevocationList {
  /** Remembers the entries; returns those that are new, so that the overlap of the feed costs nothing. */
  add(items: readonly Revocation[]): Revocation[];
  /** Whether a verified access token is still good, and what its user is now. */
  judge(claims: AccessTokenClaims): {
    refused: boolean;
    role: AccessTokenClaims['role'];
    timezone: string;
    unverified: boolean;
    pause: Pause | undefined;
  };
  isRefusedKey(agentKeyId: string): boolean;
  /** Forgets what nothing believed any more could depend on. */
  prune(nowMs: number): void;
  readonly size: number;
}

/**
 * Longer than anything issued before an entry is believed: access tokens live 15 min, agent keys are believed for two
 * hours; auth keeps its feed for the same time.
 */
const keepMs = 4 * 3_600_000;

export function createRevocationList(): RevocationList {
  const sessions = new Map<string, number>();
  const agentKeys = new Map<string, number>();
  const users = new Map<string, UserState>();
  const organizations = new Map<string, number>();

  function remember(item: Revocation): boolean {
    if (item.kind === 'user') {
      const known = users.get(item.id);
      // Polls and pushes may cross: the newest state counts.
      if (known && known.at >= item.at) return false;
      users.set(item.id, item);
      return true;
    }
    if (item.kind === 'organization') {
      if ((organizations.get(item.id) ?? 0) >= item.at) return false;
      organizations.set(item.id, item.at);
      return true;
    }
    const map = item.kind === 'session' ? sessions : agentKeys;
    if (map.has(item.id)) return false;
    map.set(item.id, item.at);
    return true;
  }

  return {
    add: (items) => items.filter(remember),
    judge(claims) {
      const state = users.get(claims.sub);
      const older = state !== undefined && Math.round(claims.iat * 1000) <= state.at ? state : undefined;
      return {
        refused: sessions.has(claims.sid) || (older !== undefined && older.status !== 'active'),
        role: older?.role ?? claims.role,
        timezone: older?.timezone ?? claims.tz,
        unverified: (older ? older.unverified : claims.unv) === true,
        pause: older ? older.pause : claims.pse,
      };
    },
    isRefusedKey: (agentKeyId) => agentKeys.has(agentKeyId),
    prune(nowMs) {
      for (const map of [sessions, agentKeys, organizations]) {
        for (const [id, at] of map) if (at < nowMs - keepMs) map.delete(id);
      }
      for (const [id, { at }] of users) if (at < nowMs - keepMs) users.delete(id);
    },
    get size() {
      return sessions.size + agentKeys.size + users.size + organizations.size;
    },
  };
}
