import { type Looks, noteLook } from '@worktide/audit';
import type { ClickHouse } from '@worktide/clickhouse';
import { type AnyRoute, invalid, localDays, type PeopleTurns, route } from '@worktide/runtime';
import { auditPage, auditQuery } from '@worktide/schemas';
import { listAudit } from './list.ts';

export interface AuditRoutesDeps {
  clickhouse: Pick<ClickHouse, 'query'>;
  /** The same as the reports': both ask ClickHouse for much. */
  turns: PeopleTurns;
  looks: Looks;
}

/** First and last instant of a day of the zone, or the instant itself. */
export function boundsOf(text: string | undefined, zone: string): { first?: number; last?: number } {
  if (text === undefined) return {};
  if (text.includes('T')) return { first: Date.parse(text), last: Date.parse(text) };
  const [day] = localDays(text, text, zone);
  return { first: day!.start, last: day!.end - 1 };
}

export function auditRoutes({ clickhouse, turns, looks }: AuditRoutesDeps): AnyRoute[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/audit',
      operationId: 'listAudit',
      summary: 'Who did what to which object, newest first',
      description:
        'Kept for 400 days; nothing changes or deletes an event. Reading it is an event itself, and so is reading what is ' +
        'another person’s: once in ten minutes for each reader and object.',
      tag: 'audit',
      access: 'session',
      roles: ['admin'],
      query: auditQuery,
      responses: { 200: { description: 'A page of events.', schema: auditPage } },
      handler: async ({ req, requestId, query, caller, signal }) => {
        const { cursor, limit, from, to, ...asked } = query;
        const filter = {
          organizationId: caller.organizationId,
          ...asked,
          from: boundsOf(from, caller.timezone).first,
          to: boundsOf(to, caller.timezone).last,
        };
        if ((filter.from ?? 0) > (filter.to ?? Number.POSITIVE_INFINITY)) {
          throw invalid('RANGE_REVERSED', 'The range ends before it begins.');
        }
        const work = () => listAudit(clickhouse, filter, { cursor, limit }, signal);
        const page = await turns.run(caller, work, { signal });
        const look = { action: 'audit.read', entityType: 'organization', entityId: caller.organizationId };
        noteLook(looks, { req, requestId, caller }, look);
        return { status: 200, body: page };
      },
    }),
  ];
}
