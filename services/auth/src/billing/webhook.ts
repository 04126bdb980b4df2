import { type AuditSource, auditChange, auditSource } from '@worktide/audit';
import { AppError, invalid, notFound, type RawRoute, validatePart } from '@worktide/runtime';
import { billingEvent, subscriptionUpdated } from '@worktide/schemas';
import type { z } from 'zod';
import type { AuthContext } from '../context.ts';
import { lockOrganization } from '../organization/plans.ts';
import { readBody } from './read-body.ts';
import { readSignature, requireSigned } from './signature.ts';

const maxBytes = 100_000;
/** A provider's machine sends a small body at once; whoever is slower holds a handler and no more than that. */
const bodyTimeoutMs = 10_000;

/** What the billing provider calls. Raw, because the signature is over the bytes of the body. */
export function billingWebhook(context: AuthContext): RawRoute {
  const secrets = context.config.BILLING_WEBHOOK_SECRET;
  return {
    spec: {
      method: 'post',
      path: '/api/v1/billing/webhook',
      operationId: 'billingWebhook',
      summary: 'Events of the billing provider',
      description:
        '`X-Worktide-Signature: t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<raw body>">` with the shared secret, ' +
        'at most five minutes old; several `v1` are looked at. `subscription.updated` sets the plan of an ' +
        'organisation; other types, an event that came before, and one that is older (`occurredAt`) than the one that ' +
        'counts, are taken without effect.',
      tag: 'billing',
      access: 'public',
      requestHeaders: { 'X-Worktide-Signature': '`t=<unix seconds>,v1=<hex>`; without it 401.' },
      body: subscriptionUpdated,
      responses: { 204: { description: 'Taken.' } },
      alsoAnswers: {
        401: 'No signature, or one that is wrong, too old or from the future.',
        404: 'There is no such organisation.',
      },
    },
    bodyTimeoutMs,
    async handle(req, res, { requestId, log }) {
      if (secrets.length === 0) {
        throw new AppError('BILLING_NOT_CONFIGURED', 'There is no billing here.', {
          statusCode: 503,
          retryAfterSeconds: 60,
        });
      }
      const signature = readSignature(req.headers['x-worktide-signature'], Date.now());
      const body = await readBody(req, maxBytes);
      requireSigned(signature, body, secrets);
      const value = parseJson(body);
      const { type } = validatePart(billingEvent, value, 'body');
      if (type === 'subscription.updated') {
        const event = validatePart(subscriptionUpdated, value, 'body');
        const source: AuditSource = { ...auditSource({ req, requestId }, undefined), actorType: 'billing' };
        const outcome = await updateSubscription(context, event, source);
        log.info({ requestId, eventId: event.id, organizationId: event.organizationId, outcome }, 'billing event');
      }
      res.writeHead(204).end();
    },
  };
}

function parseJson(body: Buffer): unknown {
  try {
    // A byte order mark is no part of it.
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw invalid('MALFORMED_JSON', 'The body is not valid JSON.');
  }
}

/**
 * Once for each event id, however often and however parallel it comes. A downgrade puts nobody out: it only lets nobody
 * new in (`requireSeat`). Rejects 404 for an organisation that does not exist, 503; the event counts as not seen then.
 */
function updateSubscription(
  context: AuthContext,
  event: z.output<typeof subscriptionUpdated>,
  source: AuditSource,
): Promise<'changed' | 'unchanged' | 'repeated' | 'outdated'> {
  const { id, organizationId, status, occurredAt } = event;
  // Not as a tenant: nobody of the organisation is asking, and its own requests must not reach these tables.
  return context.act(null, async ({ client, audit, revoke }) => {
    const before = await lockOrganization(client, organizationId);
    if (before === undefined) throw notFound('There is no such organisation.');
    const { rowCount } = await client.query(
      'INSERT INTO auth.billing_events (id, organization_id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING',
      [id, organizationId],
    );
    if (rowCount === 0) return 'repeated';
    if (occurredAt !== undefined) {
      const { rowCount: newest } = await client.query(
        `UPDATE auth.organizations SET subscription_occurred_at = $2
         WHERE id = $1 AND ($2 >= subscription_occurred_at OR subscription_occurred_at IS NULL)`,
        [organizationId, new Date(occurredAt)],
      );
      if (newest === 0) return 'outdated';
    }
    if (status === before) return 'unchanged';
    const { rows } = await client.query<{ id: string; at: number }>(
      `UPDATE auth.organizations SET subscription_status = $2, updated_at = now() WHERE id = $1
       RETURNING id, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS at`,
      [organizationId, status],
    );
    const organization = rows[0]!;
    revoke([{ kind: 'organization', id: organization.id, organizationId: organization.id, at: organization.at }]);
    const { before: was, after: is } = auditChange({ subscriptionStatus: before }, { subscriptionStatus: status });
    audit(organization.id, source, {
      action: 'organization.subscription-changed',
      entityType: 'organization',
      entityId: organization.id,
      before: was,
      after: { ...is, billingEventId: id },
    });
    return 'changed';
  });
}
