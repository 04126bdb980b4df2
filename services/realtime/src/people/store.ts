import { type Pool, transaction } from '@worktide/postgres';
import type { PeopleRecord } from '@worktide/schemas';
import { notificationTables } from '../notifications/open.ts';
import { webhookTables } from '../webhooks/open.ts';

/** Keeps who there is, as topic `people` tells: of each person the newest state. Again changes nothing. Rejects 503. */
export async function storePeople(pool: Pool, records: readonly PeopleRecord[]): Promise<void> {
  const newest = new Map<string, { organizationId: string; person: Person }>();
  for (const { organizationId, events } of records) {
    for (const event of events) {
      if (event.type !== 'person') continue;
      const key = `${organizationId}/${event.id}`;
      const known = newest.get(key);
      if (!known || known.person.version < event.version) newest.set(key, { organizationId, person: event });
    }
  }
  if (newest.size === 0) return;
  // In one order, or two replicas at it lock each other out.
  const rows = [...newest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  const column = <T>(of: (person: Person) => T): T[] => rows.map(({ person }) => of(person));
  await transaction(pool, (client) =>
    client.query(
      `INSERT INTO realtime.people (organization_id, user_id, name, role, status, timezone, deleted, version)
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::bigint[])
       ON CONFLICT (organization_id, user_id) DO UPDATE SET name = EXCLUDED.name, role = EXCLUDED.role,
         status = EXCLUDED.status, timezone = EXCLUDED.timezone, deleted = EXCLUDED.deleted, version = EXCLUDED.version
       WHERE people.version < EXCLUDED.version`,
      [
        rows.map(({ organizationId }) => organizationId),
        column(({ id }) => id),
        column(({ name }) => name),
        column(({ role }) => role),
        column(({ status }) => status),
        column(({ timezone }) => timezone),
        column(({ deleted }) => deleted),
        column(({ version }) => version),
      ],
    ),
  );
}

type Person = Extract<PeopleRecord['events'][number], { type: 'person' }>;

/** Erases all that is stored of an organisation in PostgreSQL. Rejects 503. */
export const eraseOrganization = (pool: Pool, organizationId: string): Promise<void> =>
  transaction(pool, async (client) => {
    for (const table of ['people', ...notificationTables, ...webhookTables]) {
      await client.query(`DELETE FROM realtime.${table} WHERE organization_id = $1`, [organizationId]);
    }
  });
