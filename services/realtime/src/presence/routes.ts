import { colleagueAsked, type Identity, type Leads } from '@worktide/identity';
import type { Reads } from '@worktide/postgres';
import { type AnyRoute, type Caller, forbidden, notFound, route, type Turns } from '@worktide/runtime';
import { presencePage, presenceQuery } from '@worktide/schemas';
import { listPresences } from './list.ts';
import type { Presences } from './presences.ts';

export interface PresenceRoutesOptions {
  reads: Pick<Reads, 'for'>;
  presences: Pick<Presences, 'read'>;
  /** Of people: some lists of one at a time. */
  turns: Turns;
  identity: Pick<Identity, 'findUser'>;
  leads: Leads;
  /** Who is in a team; undefined where there is no such team. Rejects 503. */
  membersOf(organizationId: string, teamId: string): Promise<readonly string[] | undefined>;
}

export function presenceRoutes(options: PresenceRoutesOptions): AnyRoute[] {
  const { reads, presences, turns, identity, leads, membersOf } = options;

  /** Whom the caller asks about: a manager everybody, unless they name some; all others themselves and whom they lead. */
  async function peopleAsked(caller: Caller, userId?: string, teamId?: string): Promise<readonly string[] | undefined> {
    const { organizationId } = caller;
    // An agent's key is one person's, whatever their role.
    const seesAll = caller.role !== 'employee' && caller.agentKeyId === undefined;
    if (userId !== undefined && userId !== caller.userId) {
      const asked: Caller = seesAll ? caller : { ...caller, role: 'employee' };
      await colleagueAsked(asked, userId, identity.findUser, { leads });
    }
    const members = teamId === undefined ? undefined : await membersOf(organizationId, teamId);
    if (teamId !== undefined) {
      if (!members) throw notFound();
      if (!seesAll && !(await leads.of(caller)).teamIds.has(teamId)) throw forbidden();
    }
    if (userId !== undefined) return members && !members.includes(userId) ? [] : [userId];
    if (members) return members;
    if (seesAll) return undefined;
    return [...new Set([caller.userId, ...(await leads.of(caller)).userIds])];
  }

  return [
    route({
      method: 'get',
      path: '/api/v1/presence',
      operationId: 'listPresence',
      summary: 'Who is at work now',
      description:
        'By what devices tell, not by who looks at this: online while there is activity, idle after `idleAfterSeconds` ' +
        'without, offline after five minutes without anything. Managers and administrators see all, everybody themselves and ' +
        'whom they lead.',
      tag: 'realtime',
      access: 'user',
      query: presenceQuery,
      responses: { 200: { description: 'A page of people, by id.', schema: presencePage } },
      handler: async ({ caller, query, signal }) => {
        const { organizationId, role } = caller;
        const { userId, teamId, cursor, limit } = query;
        const userIds = await peopleAsked(caller, userId, teamId);
        const list = ['presence', organizationId, caller.userId, role, userId ?? null, teamId ?? null];
        const work = async () => {
          const pool = await reads.for(caller);
          return listPresences({ pool, presences }, { organizationId, userIds, list, cursor, limit }, signal);
        };
        return { status: 200, body: await turns.run(caller.userId, work, { signal }) };
      },
    }),
  ];
}
