import { tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { z } from 'zod';
import { findAccount } from '../accounts/accounts.ts';
import { resolveAgentKeys } from '../agent-keys/agent-keys.ts';
import type { AuthContext } from '../context.ts';
import { queueMail } from '../mail/queue.ts';
import { findOrganization } from '../organization/organization.ts';
import { readRevocations } from '../revocations/revocations.ts';
import { notePeopleSeen } from '../users/last-seen.ts';

/** What libs/identity asks. "Not there" is an answer of its own here: a 404 would also be what a wrong URL gets. */
export function internalRoutes({ pool, signingKeys, lastSeen, mailer }: AuthContext): AnyRoute[] {
  return [
    route({
      method: 'get',
      path: '/.well-known/jwks.json',
      operationId: 'jwks',
      summary: 'Public keys of access tokens',
      tag: 'auth',
      access: 'public',
      responses: {
        200: { description: 'JWK Set (RFC 7517).', schema: z.object({ keys: z.array(z.looseObject({})) }) },
      },
      handler: async () => ({ status: 200, body: { keys: await signingKeys.published() } }),
    }),
    route({
      method: 'post',
      path: '/internal/credentials/resolve',
      operationId: 'resolveCredentials',
      summary: 'Whom agent keys stand for',
      tag: 'internal',
      access: 'internal',
      body: schemas.resolveCredentials,
      responses: { 200: { description: 'Or null.', schema: schemas.resolvedCredentials } },
      handler: async ({ body }) => {
        const credentials = await resolveAgentKeys(pool, body.keyHashes);
        for (const [i, credential] of credentials.entries()) {
          if (credential) lastSeen.note({ ...credential, from: body.from[i] });
        }
        return { status: 200, body: { credentials } };
      },
    }),
    route({
      method: 'post',
      path: '/internal/users/by-address',
      operationId: 'findPeople',
      summary: 'Who of an organisation has which address',
      tag: 'internal',
      access: 'internal',
      body: schemas.askPeople,
      responses: { 200: { description: 'Those that there are.', schema: schemas.foundPeople } },
      handler: async ({ body: { organizationId, emails }, signal }) => {
        // As addresses are stored; what is none is nobody's.
        const asked = Map.groupBy(emails, (text) => schemas.email.safeParse(text).data ?? '');
        const rows = await tenantTransaction(
          pool,
          organizationId,
          async (client) =>
            (
              await client.query<{ id: string; email: string; name: string; timezone: string }>(
                `SELECT id, email, name, timezone FROM auth.users
                 WHERE organization_id = $1 AND email = ANY($2::text[]) AND deleted_at IS NULL AND status <> 'suspended'
                   AND verified_at IS NOT NULL`,
                [organizationId, [...asked.keys()]],
              )
            ).rows,
          { signal },
        );
        const people = rows.flatMap(({ email, ...person }) =>
          asked.get(email)!.map((text) => ({ ...person, email: text })),
        );
        return { status: 200, body: { people } };
      },
    }),
    route({
      method: 'post',
      path: '/internal/users/seen',
      operationId: 'peopleSeen',
      summary: 'When people were last seen at work',
      tag: 'internal',
      access: 'internal',
      body: schemas.peopleSeen,
      responses: { 200: { description: 'Of whom this was news.', schema: schemas.peopleSeenAnswer } },
      handler: async ({ body }) => ({ status: 200, body: { noted: await notePeopleSeen(pool, body.people) } }),
    }),
    route({
      method: 'get',
      path: '/internal/revocations',
      operationId: 'revocations',
      summary: 'What is refused since a cursor',
      tag: 'internal',
      access: 'internal',
      query: schemas.revocationQuery,
      responses: { 200: { description: 'Some entries may come again.', schema: schemas.revocationPage } },
      handler: async ({ query }) => ({ status: 200, body: await readRevocations(pool, query) }),
    }),
    route({
      method: 'get',
      path: '/internal/users/:organizationId/:userId',
      operationId: 'findUser',
      summary: 'A user of an organisation',
      description: 'Also a deleted one, as `inactive`: reports of former colleagues stay readable.',
      tag: 'internal',
      access: 'internal',
      params: z.object({ organizationId: schemas.id, userId: schemas.id }),
      responses: { 200: { description: 'Or null.', schema: schemas.foundUser } },
      handler: async ({ params }) => {
        const { organizationId, userId } = params;
        const row = await tenantTransaction(pool, organizationId, (client) =>
          findAccount(client, organizationId, userId),
        );
        const user: schemas.KnownUser | null = row
          ? {
              id: row.user_id,
              organizationId: row.organization_id,
              name: row.name,
              role: row.role,
              timezone: row.timezone,
              status: row.status,
            }
          : null;
        return { status: 200, body: { user } };
      },
    }),
    route({
      method: 'get',
      path: '/internal/organizations/:id',
      operationId: 'findOrganization',
      summary: 'Plan and settings of an organisation',
      tag: 'internal',
      access: 'internal',
      params: schemas.idParams,
      responses: { 200: { description: 'Or null.', schema: schemas.foundOrganization } },
      handler: async ({ params }) => ({
        status: 200,
        body: { organization: (await findOrganization(pool, params.id)) ?? null },
      }),
    }),
    route({
      method: 'post',
      path: '/internal/mails/digest',
      operationId: 'mailDigest',
      summary: 'Mail somebody what is new for them',
      description: 'Whoever asks knows no address, and is not told one. Asked again, it is mailed again.',
      tag: 'internal',
      access: 'internal',
      body: schemas.digestMail,
      responses: { 200: { description: 'In the queue, or nobody’s.', schema: schemas.digestTaken } },
      handler: async ({ body }) => {
        const { organizationId, userId, items, more } = body;
        const queued = await tenantTransaction(pool, organizationId, async (client) => {
          const { rows } = await client.query<{ email: string }>(
            `SELECT email FROM auth.users
             WHERE organization_id = $1 AND id = $2 AND status = 'active' AND deleted_at IS NULL AND verified_at IS NOT NULL`,
            [organizationId, userId],
          );
          const recipient = rows[0]?.email;
          if (recipient === undefined) return false;
          await queueMail(client, {
            organizationId,
            kind: 'digest',
            subjectId: userId,
            recipient,
            content: { items, more },
          });
          return true;
        });
        if (queued) mailer.wake();
        return { status: 200, body: { queued } };
      },
    }),
  ];
}
