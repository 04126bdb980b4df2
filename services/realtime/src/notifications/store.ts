import { type Pool, type Queryable, type RequestWork, tenantTransaction } from '@worktide/postgres';
import { openTimedCursor, sealTimedCursor } from '@worktide/runtime';
import type { Digest, Notification, NotificationSettings, NotificationType } from '@worktide/schemas';
import { type Draft, draftFor, type TeamDraft } from './drafts.ts';

/** A notification as it is stored. */
export interface NotificationRow {
  organizationId: string;
  userId: string;
  id: string;
  type: NotificationType;
  title: string;
  body: string;
  link: string;
  createdAt: Date;
  readAt: Date | null;
}

const columns = `organization_id AS "organizationId", user_id AS "userId", id, type, title, body, link,
  created_at AS "createdAt", read_at AS "readAt"`;

export const showNotification = ({
  id,
  type,
  title,
  body,
  link,
  createdAt,
  readAt,
}: NotificationRow): Notification => ({
  id,
  type,
  title,
  body,
  link,
  createdAt: createdAt.toISOString(),
  readAt: readAt?.toISOString() ?? null,
});

/**
 * Notes what people are told, in the transaction of whoever tells.
 * @returns those that were not there yet, to be pushed after the commit.
 */
export async function insertNotifications(client: Queryable, drafts: readonly Draft[]): Promise<NotificationRow[]> {
  if (drafts.length === 0) return [];
  const column = <K extends keyof Draft>(name: K): Draft[K][] => drafts.map((draft) => draft[name]);
  const { rows } = await client.query<NotificationRow>(
    `INSERT INTO realtime.notifications (organization_id, id, user_id, type, title, body, link)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[])
     ON CONFLICT (organization_id, id) DO NOTHING RETURNING ${columns}`,
    [
      column('organizationId'),
      column('id'),
      column('userId'),
      column('type'),
      column('title'),
      column('body'),
      column('link'),
    ],
  );
  return rows;
}

/** For each who manages the organisation of somebody, or leads a team of theirs: but not for them. */
export async function draftsForTeams(client: Queryable, drafts: readonly TeamDraft[]): Promise<Draft[]> {
  if (drafts.length === 0) return [];
  const { rows } = await client.query<{ place: number; userId: string; name: string | null }>(
    `WITH about AS (
       SELECT * FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS a (organization_id, user_id, place)
     ), receivers AS (
       SELECT a.place, p.user_id FROM about a JOIN realtime.people p ON p.organization_id = a.organization_id
       WHERE p.role IN ('admin', 'manager') AND p.status = 'active' AND NOT p.deleted
       UNION
       SELECT a.place, p.user_id FROM about a
       JOIN realtime.known_teams t
         ON t.organization_id = a.organization_id AND t.member_ids @> ARRAY[a.user_id] AND NOT t.deleted
       LEFT JOIN realtime.known_projects j ON j.organization_id = t.organization_id AND j.project_id = t.project_id
       JOIN realtime.people p ON p.organization_id = a.organization_id AND p.user_id = ANY(t.lead_ids)
         AND p.status = 'active' AND NOT p.deleted
       WHERE j.deleted IS NOT TRUE
     )
     SELECT a.place, r.user_id AS "userId", who.name FROM about a JOIN receivers r ON r.place = a.place
     LEFT JOIN realtime.people who ON who.organization_id = a.organization_id AND who.user_id = a.user_id
     WHERE r.user_id <> a.user_id ORDER BY a.place, r.user_id`,
    [drafts.map(({ organizationId }) => organizationId), drafts.map(({ userId }) => userId)],
  );
  return rows.map(({ place, userId, name }) => {
    const { organizationId, fact, body, link } = drafts[place - 1]!;
    const title = `An alert about ${name ?? 'somebody of your people'}`;
    return draftFor({ organizationId, userId }, { type: 'alert.team', title, body, link }, fact);
  });
}

/** To everybody who administers an organisation: that it has something to look after. */
export async function draftsForAdmins(
  client: Queryable,
  organizationId: string,
  words: Pick<Draft, 'type' | 'title' | 'body' | 'link'>,
  ...facts: (string | number)[]
): Promise<Draft[]> {
  const { rows } = await client.query<{ userId: string }>(
    `SELECT user_id AS "userId" FROM realtime.people
     WHERE organization_id = $1 AND role = 'admin' AND status = 'active' AND NOT deleted ORDER BY user_id`,
    [organizationId],
  );
  return rows.map(({ userId }) => draftFor({ organizationId, userId }, words, ...facts));
}

/** Whose notifications they are: nobody else's are ever read. */
export interface Owner {
  organizationId: string;
  userId: string;
}

const count = async (client: Queryable, { organizationId, userId }: Owner): Promise<number> => {
  const { rows } = await client.query<{ unread: number }>(
    `SELECT count(*) AS unread FROM realtime.notifications
     WHERE organization_id = $1 AND user_id = $2 AND read_at IS NULL`,
    [organizationId, userId],
  );
  return rows[0]!.unread;
};

/** How many notifications of a person are not read. Rejects 503. */
export const countUnread = (pool: Pool, owner: Owner, request: RequestWork = {}): Promise<number> =>
  tenantTransaction(pool, owner.organizationId, (client) => count(client, owner), request);

/** A page of a person's own, newest first. @throws 400 `INVALID_CURSOR`, 503. */
export function listNotifications(
  pool: Pool,
  owner: Owner,
  { state, cursor, limit }: { state?: 'unread' | 'read' | undefined; cursor?: string | undefined; limit: number },
  request: RequestWork,
): Promise<{ items: Notification[]; nextCursor: string | null; unread: number }> {
  const { organizationId, userId } = owner;
  const list = ['notifications', organizationId, userId, state ?? null];
  const before = cursor === undefined ? undefined : openTimedCursor(cursor, list);
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rows } = await client.query<NotificationRow>(
        `SELECT ${columns} FROM realtime.notifications
         WHERE organization_id = $1 AND user_id = $2
           AND ($3::text IS NULL OR (read_at IS NULL) = ($3 = 'unread'))
           AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
         ORDER BY created_at DESC, id DESC LIMIT $6`,
        [
          organizationId,
          userId,
          state ?? null,
          before ? new Date(before.at).toISOString() : null,
          before?.id ?? null,
          limit + 1,
        ],
      );
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const isMore = rows.length > limit && last !== undefined;
      return {
        items: page.map(showNotification),
        nextCursor: isMore ? sealTimedCursor({ at: last.createdAt.getTime(), id: last.id }, list) : null,
        unread: await count(client, owner),
      };
    },
    request,
  );
}

/**
 * Marks a person's own as read; what is not theirs, or not there, is passed over.
 * @param ids undefined: all.
 * @returns how many are left. Rejects 503.
 */
export function markRead(
  pool: Pool,
  owner: Owner,
  ids: readonly string[] | undefined,
  request: RequestWork,
): Promise<number> {
  const { organizationId, userId } = owner;
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      await client.query(
        `UPDATE realtime.notifications SET read_at = clock_timestamp()
         WHERE organization_id = $1 AND user_id = $2 AND read_at IS NULL AND ($3::uuid[] IS NULL OR id = ANY($3))`,
        [organizationId, userId, ids ?? null],
      );
      return count(client, owner);
    },
    request,
  );
}

/** Rejects 503. */
export function getSettings(
  pool: Pool,
  { organizationId, userId }: Owner,
  request: RequestWork,
): Promise<NotificationSettings> {
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      const { rows } = await client.query<{ digest: Digest }>(
        'SELECT digest FROM realtime.notification_settings WHERE organization_id = $1 AND user_id = $2',
        [organizationId, userId],
      );
      return { digest: rows[0]?.digest ?? 'off' };
    },
    request,
  );
}

/** Rejects 503. */
export function putSettings(
  pool: Pool,
  { organizationId, userId }: Owner,
  { digest }: NotificationSettings,
  request: RequestWork,
): Promise<NotificationSettings> {
  return tenantTransaction(
    pool,
    organizationId,
    async (client) => {
      // A digest that begins again tells of what is new from then on.
      await client.query(
        `INSERT INTO realtime.notification_settings AS s (organization_id, user_id, digest, digest_until)
         VALUES ($1, $2, $3, now())
         ON CONFLICT (organization_id, user_id) DO UPDATE SET digest = excluded.digest,
           digest_until = CASE WHEN s.digest = 'off' THEN now() ELSE s.digest_until END`,
        [organizationId, userId, digest],
      );
      return { digest };
    },
    request,
  );
}
