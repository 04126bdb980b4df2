import { type Pool, tenantTransaction } from '@worktide/postgres';
import { type AnyRoute, AppError, type RequestLimit, route } from '@worktide/runtime';
import { z } from 'zod';
import { base, name, tag } from './protocol.ts';

const maxSettings = 200;
const maxBytes = 262_144;
/** They are read as a whole. */
const maxBytesInAll = 1_000_000;
const params = z.object({ key: name });

/** What ActivityWatch's web interface keeps of a person: categories, views and the like. */
export function settingsRoutes({ pool, limit }: { pool: Pool; limit: RequestLimit }): AnyRoute[] {
  const common = { tag, access: 'user', agents: true, userLimit: limit } as const;
  const one = { ...common, path: `${base}/settings/:key`, params } as const;
  return [
    route({
      ...common,
      method: 'get',
      path: `${base}/settings`,
      operationId: 'activityWatchSettings',
      summary: 'All settings of the person, by key',
      responses: { 200: { description: `At most ${maxSettings}.`, schema: z.record(z.string(), z.unknown()) } },
      handler: async ({ caller }) => {
        const { rows } = await tenantTransaction(pool, caller.organizationId, (client) =>
          client.query<{ key: string; value: string }>(
            'SELECT key, value FROM agent_protocols.settings WHERE organization_id = $1 AND user_id = $2 ORDER BY key',
            [caller.organizationId, caller.userId],
          ),
        );
        return { status: 200, body: Object.fromEntries(rows.map(({ key, value }) => [key, JSON.parse(value)])) };
      },
    }),
    route({
      ...one,
      method: 'get',
      operationId: 'activityWatchSetting',
      summary: 'One setting; null where there is none',
      responses: { 200: { description: 'As it was set.', schema: z.unknown() } },
      handler: async ({ caller, params: { key } }) => {
        const { rows } = await tenantTransaction(pool, caller.organizationId, (client) =>
          client.query<{ value: string }>(
            'SELECT value FROM agent_protocols.settings WHERE organization_id = $1 AND user_id = $2 AND key = $3',
            [caller.organizationId, caller.userId, key],
          ),
        );
        return { status: 200, body: rows[0] ? JSON.parse(rows[0].value) : null };
      },
    }),
    route({
      ...one,
      method: 'post',
      operationId: 'setActivityWatchSetting',
      summary: 'Set one setting',
      body: z.unknown(),
      bodyLimit: maxBytes,
      responses: { 200: { description: 'As it was set.', schema: z.unknown() } },
      handler: async ({ caller, params: { key }, body }) => {
        const whose = [caller.organizationId, caller.userId];
        const text = JSON.stringify(body ?? null);
        await tenantTransaction(
          pool,
          caller.organizationId,
          async (client) => {
            await client.query(
              `INSERT INTO agent_protocols.settings (organization_id, user_id, key, value) VALUES ($1, $2, $3, $4)
               ON CONFLICT (organization_id, user_id, key) DO UPDATE SET value = excluded.value`,
              [...whose, key, text],
            );
            const { rows } = await client.query<{ count: string; bytes: string }>(
              `SELECT count(*) AS count, sum(octet_length(value)) AS bytes FROM agent_protocols.settings
               WHERE organization_id = $1 AND user_id = $2`,
              whose,
            );
            if (Number(rows[0]!.bytes) > maxBytesInAll) {
              throw new AppError('SETTINGS_TOO_LARGE', `A person’s settings may have ${maxBytesInAll} bytes.`, {
                statusCode: 413,
              });
            }
            if (Number(rows[0]!.count) > maxSettings) {
              throw new AppError('TOO_MANY_SETTINGS', `A person may have ${maxSettings} settings.`, {
                statusCode: 400,
              });
            }
          },
          { lock: `settings ${caller.organizationId} ${caller.userId}` },
        );
        return { status: 200, body: body ?? null };
      },
    }),
  ];
}
