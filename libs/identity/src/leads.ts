import type { Caller } from '@worktide/runtime';
import { ledPeople } from '@worktide/schemas';
import { askInternal } from './ask-internal.ts';
import { createCache } from './cache.ts';

/** Whom somebody leads. */
export interface Led {
  teamIds: ReadonlySet<string>;
  userIds: ReadonlySet<string>;
}

export interface Leads {
  /**
   * Teams that the caller leads, and who is in them; nobody for an agent's key, which is one person's. As it was five seconds
   * ago at most. Rejects 503 while workspace is away: nobody is refused, or let in, by a guess.
   */
  of(caller: Caller): Promise<Led>;
}

const believedMs = 5_000;
const maxRemembered = 10_000;
const nobody: Led = { teamIds: new Set(), userIds: new Set() };

/** @param workspaceUrl of the workspace service; without one nobody leads anybody. */
export function createLeads(options: { workspaceUrl: string | undefined; internalToken: string }): Leads {
  const { workspaceUrl, internalToken } = options;
  const cache = createCache<{ until: number; led: Promise<Led> }>(maxRemembered);

  async function ask(url: string, organizationId: string, leadId: string): Promise<Led> {
    const workspace = { service: 'workspace', url, internalToken };
    const { teamIds, userIds } = await askInternal(workspace, ledPeople, '/internal/workspace/led', {
      organizationId,
      leadId,
    });
    return { teamIds: new Set(teamIds), userIds: new Set(userIds) };
  }

  return {
    async of({ organizationId, userId, agentKeyId }) {
      if (workspaceUrl === undefined || agentKeyId !== undefined) return nobody;
      const key = `${organizationId} ${userId}`;
      const known = cache.get(key);
      if (known && known.until > Date.now()) return known.led;
      const led = ask(workspaceUrl, organizationId, userId);
      cache.set(key, { until: Date.now() + believedMs, led });
      // Who could not be asked about is asked about by the next.
      led.catch(() => cache.delete(key));
      return led;
    },
  };
}
