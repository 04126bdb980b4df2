import { auditSource, type Looks, noteLook } from '@worktide/audit';
import { type Identity, type Leads, userAsked } from '@worktide/identity';
import type { ObjectStore } from '@worktide/object-store';
import type { Reads } from '@worktide/postgres';
import { type AnyRoute, type Caller, forbidden, invalid, notFound, route } from '@worktide/runtime';
import { idParams, screenshot, screenshotPage, screenshotQuery } from '@worktide/schemas';
import { type DeleteOptions, deleteScreenshot } from './delete.ts';
import { findScreenshot, listScreenshots } from './list.ts';
import { showScreenshot } from './show.ts';

export interface ScreenshotRoutesOptions extends DeleteOptions {
  /** Of lists, which may lag behind. */
  reads: Pick<Reads, 'for'>;
  store: Pick<ObjectStore, 'signedGet'>;
  identity: Pick<Identity, 'findUser'>;
  looks: Looks;
  leads: Leads;
}

const path = '/api/v1/screenshots';
const tag = 'screenshots';

export function screenshotRoutes(options: ScreenshotRoutesOptions): AnyRoute[] {
  const { pool, reads, store, identity, looks, leads } = options;

  /** Goes into the audit trail. */
  function looked(context: Parameters<typeof noteLook>[1], userIds: Iterable<string>): void {
    for (const entityId of new Set(userIds)) {
      noteLook(looks, context, { action: 'screenshot.read', entityType: 'user', entityId });
    }
  }

  /** Whose screenshots a list shows; undefined for everybody's. Another organisation's user does not exist. */
  async function usersOf(caller: Caller, query: { userId?: string | undefined; timeEntryId?: string | undefined }) {
    const { userId, timeEntryId } = query;
    const everybodys = userId === undefined && timeEntryId !== undefined && caller.role !== 'employee';
    return everybodys ? undefined : userAsked(caller, userId, identity.findUser, leads);
  }

  const mayRead = async (caller: Caller, { userId }: { userId: string }): Promise<boolean> =>
    isOwnOrManaged(caller, userId) || (await leads.of(caller)).userIds.has(userId);

  return [
    route({
      method: 'get',
      path,
      operationId: 'listScreenshots',
      summary: 'Screenshots, newest first, with links for five minutes',
      description:
        'Of the caller unless `userId` is given; another user needs manager or admin, or who leads them. With `timeEntryId` alone managers ' +
        'and admins see whosever entry it is. `from` and `to` bound `capturedAt` as [from, to).',
      tag,
      access: 'user',
      query: screenshotQuery,
      responses: { 200: { description: 'A page of screenshots.', schema: screenshotPage } },
      handler: async ({ req, requestId, query, caller, signal }) => {
        const from = query.from === undefined ? undefined : Date.parse(query.from);
        const to = query.to === undefined ? undefined : Date.parse(query.to);
        if (from !== undefined && to !== undefined && !(from < to)) {
          throw invalid('INVALID_RANGE', 'from must be before to.');
        }
        const { organizationId } = caller;
        const userId = await usersOf(caller, query);
        const { status, cursor, limit } = query;
        const timeEntryId = query.timeEntryId?.toLowerCase();
        const asked = { organizationId, userId, timeEntryId, from, to, status, cursor, limit };
        const { rows, nextCursor } = await listScreenshots(await reads.for(caller), asked, signal);
        const items = await Promise.all(rows.map((row) => showScreenshot(store, row)));
        looked(
          { req, requestId, caller },
          items.map((item) => item.userId),
        );
        return { status: 200, body: { items, nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: `${path}/:id`,
      operationId: 'getScreenshot',
      summary: 'A screenshot, with links for five minutes',
      description: 'A colleague’s needs manager or admin, or who leads them.',
      tag,
      access: 'user',
      params: idParams,
      responses: { 200: { description: 'The screenshot.', schema: screenshot } },
      handler: async ({ req, requestId, params, caller, signal }) => {
        const row = await findScreenshot(pool, caller.organizationId, params.id.toLowerCase(), signal);
        if (!row) throw notFound();
        if (!(await mayRead(caller, row))) throw forbidden();
        looked({ req, requestId, caller }, [row.userId]);
        return { status: 200, body: await showScreenshot(store, row) };
      },
    }),
    route({
      method: 'delete',
      path: `${path}/:id`,
      operationId: 'deleteScreenshot',
      summary: 'Delete a screenshot, picture and all',
      description: 'Also before it was processed. A colleague’s needs manager or admin.',
      tag,
      // Not with an agent's key: it lies in a file on the very device whose record it could remove.
      access: 'session',
      params: idParams,
      responses: { 204: { description: 'Deleted.' } },
      handler: async ({ req, requestId, params, caller, signal }) => {
        const { organizationId } = caller;
        const source = auditSource({ req, requestId }, caller);
        const named = { organizationId, id: params.id.toLowerCase(), source };
        if (!(await deleteScreenshot(options, named, (row) => requireAccess(caller, row), signal))) throw notFound();
        return { status: 204 };
      },
    }),
  ];
}

function requireAccess(caller: Caller, { userId }: { userId: string }): void {
  if (!isOwnOrManaged(caller, userId)) throw forbidden();
}

const isOwnOrManaged = (caller: Caller, userId: string): boolean =>
  userId === caller.userId || caller.role !== 'employee';
