import { type Audit, auditSource } from '@worktide/audit';
import { type AnyRoute, route, toAppError } from '@worktide/runtime';
import { analystAnswer, analystQuery, analystSchema } from '@worktide/schemas';
import type { Analysts } from './open.ts';

/** What the audit trail keeps of a query's text. */
const keptOfSql = 1_000;
const managers = ['manager', 'admin'] as const;

export interface AnalystRoutesDeps {
  analysts: Analysts;
  audit: Pick<Audit, 'tell'>;
}

export function analystRoutes({ analysts, audit }: AnalystRoutesDeps): AnyRoute[] {
  const tag = 'analytics';
  return [
    route({
      method: 'post',
      path: '/api/v1/analytics/query',
      operationId: 'queryAnalytics',
      summary: 'One SELECT over the views, of the own organisation',
      description:
        'The views are in docs/analysts.md and at `/analytics/schema`. Bounded in time, memory and rows: an answer in JSON has 10,000 rows at most and says `truncated`; with `format` `csv` or `parquet` the body is the file, whole or refused.',
      tag,
      access: 'session',
      roles: managers,
      body: analystQuery,
      bodyLimit: 1_200_000,
      responses: { 200: { description: 'The answer', schema: analystAnswer } },
      alsoAnswers: { 422: 'The query takes more than one may: `QUERY_TOO_EXPENSIVE`' },
      handler: async ({ body, caller, signal, req, requestId }) => {
        const tell = (outcome: object): void =>
          audit.tell(caller.organizationId, auditSource({ req, requestId }, caller), [
            {
              action: 'analytics.queried',
              entityType: 'analytics',
              entityId: 'query',
              after: { sql: body.sql.slice(0, keptOfSql), format: body.format, ...outcome },
            },
          ]);
        try {
          const work = () => analysts.query(caller.organizationId, body, signal);
          const answer = await analysts.turns.run(caller, work, { signal });
          if ('bytes' in answer) {
            tell({ bytes: answer.bytes.length });
            return { status: 200, body: answer.bytes, headers: { 'Content-Type': answer.contentType } };
          }
          tell({ rows: answer.rowCount, truncated: answer.truncated });
          return { status: 200, body: answer };
        } catch (error) {
          tell({ outcome: toAppError(error).code });
          throw error;
        }
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/analytics/schema',
      operationId: 'readAnalyticsSchema',
      summary: 'The views that queries read, what their columns mean, and examples',
      tag,
      access: 'session',
      roles: managers,
      responses: { 200: { description: 'The views', schema: analystSchema } },
      handler: async () => ({ status: 200, body: await analysts.schema() }),
    }),
  ];
}
