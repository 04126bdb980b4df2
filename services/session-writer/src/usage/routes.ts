import { type Audit, auditSource } from '@worktide/audit';
import { type Identity, userAsked } from '@worktide/identity';
import type { Pool } from '@worktide/postgres';
import { type AnyRoute, invalid, route } from '@worktide/runtime';
import { eraseUsageQuery, usagePage, usageQuery } from '@worktide/schemas';
import { eraseTime } from '../store/erasures.ts';
import type { MergeOptions } from '../store/merge.ts';
import { listUsage } from './list.ts';

/** A year and a day of it: what one request makes the database look at stays bounded. */
const maxRangeMs = 367 * 24 * 3_600_000;
const path = '/api/v1/usage';

export interface UsageRoutesOptions {
  /** May lag behind: a replica where there is one. */
  readPool: Pool;
  merge: MergeOptions;
  identity: Pick<Identity, 'findUser'>;
  audit: Pick<Audit, 'events'>;
}

export function usageRoutes({ readPool, merge, identity, audit }: UsageRoutesOptions): AnyRoute[] {
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
      handler: async ({ query, caller }) => {
        const { from, to } = rangeOf(query);
        const { organizationId } = caller;
        const userId = await userAsked(caller, query.userId, identity.findUser);
        const { deviceId, cursor, limit } = query;
        return {
          status: 200,
          body: await listUsage(readPool, { organizationId, userId, deviceId, from, to, cursor, limit }),
        };
      },
    }),
    route({
      method: 'delete',
      path,
      operationId: 'eraseUsage',
      summary: 'Erase the time [from, to) for ever',
      description:
        'Entries are cut or removed, and pings of that time, sent again or late, do not bring it back. Without ' +
        '`deviceId` on all devices of the user, also on those first seen later. At most 367 days.',
      tag: 'usage',
      // Not with an agent's key: it lies in a file on the very device whose record it could remove.
      access: 'session',
      query: eraseUsageQuery,
      responses: { 204: { description: 'Erased.' } },
      handler: async ({ req, requestId, query, caller }) => {
        const { from, to } = rangeOf(query);
        const { organizationId } = caller;
        const userId = await userAsked(caller, query.userId, identity.findUser);
        const deviceId = query.deviceId ?? null;
        const told = audit.events(organizationId, auditSource({ req, requestId }, caller), [
          {
            action: 'usage.erased',
            entityType: 'user',
            entityId: userId,
            after: { from: new Date(from).toISOString(), to: new Date(to).toISOString(), deviceId },
          },
        ]);
        await eraseTime(merge, { organizationId, userId, deviceId, from, to, requestedBy: caller.userId }, told);
        return { status: 204 };
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
