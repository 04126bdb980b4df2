import { type Audit, type AuditAction, auditChange, auditSource } from '@worktide/audit';
import { type Outbox, type Pool, type Reads, tenantTransaction, transactionWithEvents } from '@worktide/postgres';
import { type AnyRoute, invalid, type RequestLimit, type RouteContext, route, uuidv7 } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { addTest, findDelivery, listDeliveries } from './deliveries.ts';
import { DeliveryFailure, findTarget } from './resolve.ts';
import type { Secrets } from './secrets.ts';
import type { SendTerms } from './send.ts';
import { newSecret } from './sign.ts';
import {
  type Chosen,
  countWaiting,
  deleteWebhook,
  findWebhook,
  insertWebhook,
  listWebhooks,
  maxWebhooks,
  replaceSecret,
  showWebhook,
  type Tenant,
  updateWebhook,
  type WebhookRow,
} from './store.ts';

export interface WebhookRoutesDeps {
  pool: Pool;
  /** Of lists, which may lag behind. */
  reads: Pick<Reads, 'for'>;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  audit: Pick<Audit, 'events' | 'check'>;
  secrets: Secrets;
  terms: Pick<SendTerms, 'rules' | 'allowHttp' | 'resolve'>;
  /** Of looks at names, and of tests: both have somebody else asked. */
  limit: RequestLimit;
  wake: () => void;
}

const path = '/api/v1/webhooks';
const common = { tag: 'webhooks', access: 'session', roles: ['admin'] } as const;
/** How long a secret that was replaced signs beside the new one. */
export const overlapHours = 24;
/** A name whose servers are silent is taken: each delivery looks again. */
const lookMs = 2_000;

type Context = Pick<RouteContext, 'req' | 'requestId' | 'caller' | 'signal'>;

export function webhookRoutes(deps: WebhookRoutesDeps): AnyRoute[] {
  const { pool, reads, outbox, audit, secrets, terms, limit, wake } = deps;

  const readIn = <T>(from: Pool, { caller, signal }: Context, fn: (tenant: Tenant) => Promise<T>): Promise<T> => {
    const { organizationId } = caller;
    return tenantTransaction(from, organizationId, (client) => fn({ client, organizationId }), { signal });
  };
  const read = <T>(context: Context, fn: (tenant: Tenant) => Promise<T>) => readIn(pool, context, fn);
  const list = async <T>(context: Context, fn: (tenant: Tenant) => Promise<T>) =>
    readIn(await reads.for(context.caller), context, fn);

  /** One transaction with its line in the audit trail, where it did something. */
  async function change<T>(context: Context, fn: (tenant: Tenant) => Promise<[T, AuditAction?]>): Promise<T> {
    const { caller, signal } = context;
    const { organizationId } = caller;
    await audit.check().catch(() => {});
    const { result } = await transactionWithEvents(
      { pool, outbox, tenant: organizationId, signal },
      async (client, tell) => {
        const [answer, action] = await fn({ client, organizationId });
        if (action) tell(...audit.events(organizationId, auditSource(context, caller), [action]));
        return answer;
      },
    );
    return result;
  }

  const show = async (tenant: Tenant, row: WebhookRow): Promise<schemas.Webhook> =>
    showWebhook(row, (await countWaiting(tenant, [row.id])).get(row.id) ?? 0);

  /** Before any transaction: somebody else is waited for. @throws 400 `WEBHOOK_URL_REFUSED`. */
  async function requireUrl(url: string, signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([signal, AbortSignal.timeout(lookMs)]);
    const looking = findTarget(url, terms, ended).catch((error: unknown) => {
      if (error instanceof DeliveryFailure) return error;
      throw error;
    });
    const late = new Promise<undefined>((resolve) => {
      ended.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    const found = await Promise.race([looking, late]);
    if (!(found instanceof DeliveryFailure) || found.code === 'NAME_NOT_FOUND') return;
    throw invalid('WEBHOOK_URL_REFUSED', 'Nothing can be delivered to this URL.', [
      { path: 'body.url', code: found.code, message: found.message },
    ]);
  }

  return [
    route({
      ...common,
      method: 'post',
      path,
      operationId: 'createWebhook',
      summary: 'Have a system of yours told of what happens',
      description:
        'The secret is in this answer alone. Only https, to public addresses, looked at now and before each delivery: else 400 ' +
        `\`WEBHOOK_URL_REFUSED\`. An organisation has ${maxWebhooks} webhooks at most (409 \`TOO_MANY_WEBHOOKS\`).`,
      userLimit: limit,
      body: schemas.newWebhook,
      responses: { 201: { description: 'The webhook, with its secret.', schema: schemas.createdWebhook } },
      handler: async (context) => {
        const { body, caller, signal } = context;
        await requireUrl(body.url, signal);
        const id = uuidv7();
        const secret = newSecret();
        const created = await change(context, async (tenant) => {
          const row = await insertWebhook(tenant, {
            id,
            url: body.url,
            description: body.description ?? null,
            events: sinceNow(body.events),
            secret: secrets.seal(secret, id),
            createdBy: caller.userId,
          });
          return [showWebhook(row, 0), { action: 'webhook.created', ...entity(id), before: null, after: audited(row) }];
        });
        return { status: 201, body: { ...created, secret } };
      },
    }),
    route({
      ...common,
      method: 'get',
      path,
      operationId: 'listWebhooks',
      summary: 'Webhooks of my organization',
      query: schemas.listQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.webhookPage } },
      handler: async (context) => ({
        status: 200,
        body: await list(context, (tenant) => listWebhooks(tenant, context.query)),
      }),
    }),
    route({
      ...common,
      method: 'get',
      path: `${path}/:id`,
      operationId: 'getWebhook',
      summary: 'A webhook',
      params: schemas.idParams,
      responses: { 200: { description: 'The webhook.', schema: schemas.webhook } },
      handler: async (context) => ({
        status: 200,
        body: await read(context, async (tenant) => show(tenant, await findWebhook(tenant, context.params.id))),
      }),
    }),
    route({
      ...common,
      method: 'patch',
      path: `${path}/:id`,
      operationId: 'changeWebhook',
      summary: 'Change a webhook, or switch it off or on',
      description:
        'Switched off, what waits is dropped. Another URL, or on again, and what waits is tried at once. Of events that are new to ' +
        'it, it is told what happens from now on.',
      userLimit: limit,
      params: schemas.idParams,
      body: schemas.webhookChange,
      responses: { 200: { description: 'The webhook as it is now.', schema: schemas.webhook } },
      handler: async (context) => {
        const { params, body, signal } = context;
        if (body.url !== undefined) await requireUrl(body.url, signal);
        const changed = await change(context, async (tenant) => {
          const before = await findWebhook(tenant, params.id, { lock: true });
          const enabled = body.enabled ?? before.enabled;
          const isOnAgain = enabled && !before.enabled;
          const chosen = body.events ?? (Object.keys(before.events) as schemas.WebhookEvent[]);
          const after = await updateWebhook(tenant, before, {
            url: body.url ?? before.url,
            description: body.description === undefined ? before.description : body.description,
            events: { ...sinceNow(chosen), ...(isOnAgain ? {} : kept(before.events, chosen)) },
            enabled,
          });
          const differing = auditChange(audited(before), audited(after));
          return [await show(tenant, after), { action: 'webhook.changed', ...entity(params.id), ...differing }];
        });
        wake();
        return { status: 200, body: changed };
      },
    }),
    route({
      ...common,
      method: 'delete',
      path: `${path}/:id`,
      operationId: 'deleteWebhook',
      summary: 'Remove a webhook, and the history of its deliveries',
      params: schemas.idParams,
      responses: { 204: { description: 'Removed.' } },
      handler: async (context) => {
        const { id } = context.params;
        await change(context, async (tenant) => {
          const before = await findWebhook(tenant, id, { lock: true });
          await deleteWebhook(tenant, id);
          return [null, { action: 'webhook.deleted', ...entity(id), before: audited(before), after: null }];
        });
        return { status: 204 };
      },
    }),
    route({
      ...common,
      method: 'post',
      path: `${path}/:id/secret`,
      operationId: 'rotateWebhookSecret',
      summary: 'Replace the secret of a webhook',
      description: `For ${overlapHours} hours deliveries are signed with both, the new one first. Replaced again, the first ends at once.`,
      params: schemas.idParams,
      responses: { 200: { description: 'The webhook, with its new secret.', schema: schemas.createdWebhook } },
      handler: async (context) => {
        const { id } = context.params;
        const secret = newSecret();
        const changed = await change(context, async (tenant) => {
          const before = await findWebhook(tenant, id, { lock: true });
          const after = await replaceSecret(tenant, before, secrets.seal(secret, id), overlapHours);
          return [await show(tenant, after), { action: 'webhook.secret-replaced', ...entity(id) }];
        });
        return { status: 200, body: { ...changed, secret } };
      },
    }),
    route({
      ...common,
      method: 'post',
      path: `${path}/:id/test`,
      operationId: 'testWebhook',
      summary: 'Have a webhook told of an event `ping`',
      description:
        'Delivered once, before whatever else waits, also while the webhook is off. What became of it is in the list of deliveries.',
      userLimit: limit,
      params: schemas.idParams,
      responses: { 202: { description: 'It will be delivered.', schema: schemas.testQueued } },
      handler: async (context) => {
        const { caller, params } = context;
        const { userId } = caller;
        const deliveryId = await change(context, async (tenant) => {
          const { id } = await findWebhook(tenant, params.id, { lock: true });
          const delivery = await addTest(tenant, id, { eventId: uuidv7(), userId, at: Date.now() });
          return [delivery, { action: 'webhook.tested', ...entity(id) }];
        });
        wake();
        return { status: 202, body: { deliveryId } };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${path}/:id/deliveries`,
      operationId: 'listWebhookDeliveries',
      summary: 'What a webhook was told, and what became of it',
      params: schemas.idParams,
      query: schemas.deliveryQuery,
      responses: { 200: { description: 'Newest first; of two weeks.', schema: schemas.deliveryPage } },
      handler: async (context) => ({
        status: 200,
        body: await list(context, async (tenant) => {
          const { id } = await findWebhook(tenant, context.params.id);
          return listDeliveries(tenant, id, context.query);
        }),
      }),
    }),
    route({
      ...common,
      method: 'get',
      path: `${path}/:id/deliveries/:deliveryId`,
      operationId: 'getWebhookDelivery',
      summary: 'A delivery, with its body and the answer',
      params: schemas.deliveryParams,
      responses: { 200: { description: 'The delivery.', schema: schemas.wholeDelivery } },
      handler: async (context) => ({
        status: 200,
        body: await read(context, (tenant) => findDelivery(tenant, context.params.id, context.params.deliveryId)),
      }),
    }),
  ];
}

const entity = (id: string) => ({ entityType: 'webhook', entityId: id });

/** What the audit trail compares: of the URL whom it leads to, for the rest of it may be a secret of the receiver. */
const audited = ({ url, events, description, enabled }: WebhookRow) => ({
  origin: new URL(url).origin,
  events: Object.keys(events).sort(),
  description,
  enabled,
});

const sinceNow = (events: readonly schemas.WebhookEvent[]): Chosen =>
  Object.fromEntries(events.map((event) => [event, Date.now()]));
/** Of events that stay chosen nothing is lost that is still on its way here. */
const kept = (before: Chosen, events: readonly schemas.WebhookEvent[]): Chosen =>
  Object.fromEntries(events.flatMap((event) => (before[event] === undefined ? [] : [[event, before[event]]])));
