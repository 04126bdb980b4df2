import { type Audit, auditSource } from '@worktide/audit';
import { type AnyRoute, type RouteContext, route, toAppError } from '@worktide/runtime';
import {
  analystAccountMade,
  analystAccountRequest,
  analystAccounts,
  analystAnswer,
  analystQuery,
  analystSchema,
  idParams,
} from '@worktide/schemas';
import type { AnalystAccounts } from './accounts.ts';
import type { Analysts } from './open.ts';

/** What the audit trail keeps of a query's text. */
const keptOfSql = 1_000;
const managers = ['manager', 'admin'] as const;
const admins = ['admin'] as const;

export interface AnalystRoutesDeps {
  analysts: Analysts;
  accounts: AnalystAccounts;
  audit: Pick<Audit, 'tell'>;
}

export function analystRoutes({ analysts, accounts, audit }: AnalystRoutesDeps): AnyRoute[] {
  const tag = 'analytics';

  const tellOf =
    ({ caller, req, requestId }: Pick<RouteContext, 'caller' | 'req' | 'requestId'>) =>
    (action: string, { id, name, user }: { id: string; name: string; user: string }): void =>
      audit.tell(caller.organizationId, auditSource({ req, requestId }, caller), [
        action === 'analytics.account-deleted'
          ? { action, entityType: 'analytics-account', entityId: id, before: { name, user } }
          : { action, entityType: 'analytics-account', entityId: id, after: { name, user } },
      ]);
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
      responses: {
        200: {
          description: 'The answer',
          schema: analystAnswer,
          files: ['text/csv', 'application/vnd.apache.parquet'],
        },
      },
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
    route({
      method: 'post',
      path: '/api/v1/analytics/credentials',
      operationId: 'createAnalyticsAccount',
      summary: 'Make an account of ClickHouse that sees the views of this organisation',
      description:
        'For Grafana, DBeaver, notebooks: `http://<user>:<password>@<host>:<port>/<database>`. The password is shown only here. An organisation may have ten.',
      tag,
      access: 'session',
      roles: admins,
      body: analystAccountRequest,
      responses: { 201: { description: 'The account', schema: analystAccountMade } },
      alsoAnswers: { 409: 'There are ten already: `TOO_MANY_ACCOUNTS`' },
      handler: async ({ body, caller, req, requestId }) => {
        const account = await accounts.create(caller.organizationId, caller.userId, body.name ?? 'SQL');
        tellOf({ caller, req, requestId })('analytics.account-created', account);
        return { status: 201, body: account };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/analytics/credentials',
      operationId: 'listAnalyticsAccounts',
      summary: 'The accounts of ClickHouse of this organisation',
      tag,
      access: 'session',
      roles: admins,
      responses: { 200: { description: 'All of them, the oldest first', schema: analystAccounts } },
      handler: async ({ caller }) => ({ status: 200, body: { items: await accounts.list(caller.organizationId) } }),
    }),
    route({
      method: 'delete',
      path: '/api/v1/analytics/credentials/:id',
      operationId: 'deleteAnalyticsAccount',
      summary: 'End an account of ClickHouse',
      tag,
      access: 'session',
      roles: admins,
      params: idParams,
      responses: { 204: { description: 'It logs in no more' } },
      handler: async ({ params, caller, req, requestId }) => {
        const account = await accounts.remove(caller.organizationId, params.id);
        tellOf({ caller, req, requestId })('analytics.account-deleted', account);
        return { status: 204 };
      },
    }),
  ];
}
