import { type Audit, auditSource } from '@worktide/audit';
import { type Identity, userAsked } from '@worktide/identity';
import type { Outbox, Pool, Reads } from '@worktide/postgres';
import { type AnyRoute, invalid, route, type Turns } from '@worktide/runtime';
import { eraseUsageQuery, usageErasure, usagePage, usageQuery } from '@worktide/schemas';
import { recordErasure } from '../store/erasures.ts';
import { listUsage } from './list.ts';

/** A year and a day of it: what one request makes the database look at stays bounded. */
const maxRangeMs = 367 * 24 * 3_600_000;
const path = '/api/v1/usage';

export interface UsageRoutesOptions {
  /** Of requests alone: the merge of pings has its own. */
  pool: Pool;
  /** Of lists, which may lag behind. */
  reads: Reads;
  /** Of people: some lists of one at a time. The pool takes turns between organisations. */
  turns: Turns;
  outbox: Outbox;
  /** An erasure was recorded: it is to be worked off. */
  onErasure: () => void;
  identity: Pick<Identity, 'findUser'>;
  audit: Pick<Audit, 'events'>;
}

export function usageRoutes(options: UsageRoutesOptions): AnyRoute[] {
  const { pool, reads, turns, outbox, onErasure, identity, audit } = options;
  return [
    route({
      method: 'get',
      path,
      operationId: 'listUsage',
      summary: 'Usage entries that touch [from, to), unclipped, by start',
      description: 'Of the caller unless `userId` is given; another user needs manager or admin. At most 367 days.',
      tag: 'usage',
      access: 'user',
      query: usageQuery,
      responses: { 200: { description: 'A page of entries.', schema: usagePage } },
      handler: async ({ query, caller, signal }) => {
        const { from, to } = rangeOf(query);
        const { organizationId } = caller;
        const userId = await userAsked(caller, query.userId, identity.findUser);
        const { deviceId, cursor, limit } = query;
        const asked = { organizationId, userId, deviceId, from, to, cursor, limit };
        const list = async () => listUsage(await reads.for(caller), asked, signal);
        return { status: 200, body: await turns.run(caller.userId, list, { signal }) };
      },
    }),
    route({
      method: 'delete',
      path,
      operationId: 'eraseUsage',
      summary: 'Erase the time [from, to) for ever',
      description:
        'Entries are cut or removed, and so are input counts of minutes that it touches; what is sent again or late of that ' +
        'time does not bring it back. Without ' +
        '`deviceId` on all devices of the user, also on those first seen later. At most 367 days. Recorded with the ' +
        'answer, and from then on in no list; entries and reports follow within seconds.',
      tag: 'usage',
      // Not with an agent's key: it lies in a file on the very device whose record it could remove.
      access: 'session',
      query: eraseUsageQuery,
      responses: { 202: { description: 'Recorded.', schema: usageErasure } },
      alsoAnswers: { 429: 'Too many erasures of this user wait to be worked off.' },
      handler: async ({ req, requestId, query, caller, signal }) => {
        const { from, to } = rangeOf(query);
        const { organizationId } = caller;
        const userId = await userAsked(caller, query.userId, identity.findUser);
        const deviceId = query.deviceId ?? null;
        const what = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), deviceId };
        const told = audit.events(organizationId, auditSource({ req, requestId }, caller), [
          { action: 'usage.erased', entityType: 'user', entityId: userId, after: what },
        ]);
        const erasure = { organizationId, userId, deviceId, from, to, requestedBy: caller.userId };
        const status = await recordErasure({ pool, outbox }, erasure, told, signal);
        // From now on in no list, whoever reads it.
        await reads.wrote({ organizationId });
        if (status === 'pending') onErasure();
        return { status: 202, body: { ...what, userId, status } };
      },
    }),
  ];
}

function rangeOf(query: { from: string; to: string }): { from: number; to: number } {
  const from = Date.parse(query.from);
  const to = Date.parse(query.to);
  if (!(from < to)) throw invalid('INVALID_RANGE', 'from must be before to.');
  if (to - from > maxRangeMs) throw invalid('RANGE_TOO_LONG', 'A range has 367 days at most.');
  return { from, to };
}
