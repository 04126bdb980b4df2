import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Audit, auditSource } from '@worktide/audit';
import type { ObjectStore } from '@worktide/object-store';
import { type Outbox, type Pool, tenantTransaction, transactionWithEvents } from '@worktide/postgres';
import {
  AppError,
  type Authenticate,
  type Budget,
  forbidden,
  type Logger,
  type RawContext,
  type RawRoute,
  type RequestLimit,
  requireVerified,
  sendJson,
  takeLimit,
  userSubject,
  uuidv7,
} from '@worktide/runtime';
import { importForm, importTaken } from '@worktide/schemas';
import { z } from 'zod';
import { fileKeyOf } from './keys.ts';
import { createImport, keptDays, requireRoom } from './store.ts';
import { receiveImport } from './upload.ts';
import type { ImportWorkers } from './workers.ts';

export interface PostImportDependencies {
  pool: Pool;
  outbox: Outbox;
  store: Pick<ObjectStore, 'put' | 'delete'>;
  authenticate: Authenticate;
  audit: Pick<Audit, 'events'>;
  workers: ImportWorkers;
  /** Uploads of one user. */
  limit: RequestLimit;
  /** Uploads at once: each may hold what the store takes at a time. */
  places: Budget;
  maxBytes: number;
  /** Of the files of an organisation. */
  maxStoredBytes: number;
  uploadMs: number;
  log: Logger;
}

/** A gigabyte at this rate takes the half hour that there is. */
const minUploadRate = 64 * 1024;
/** For how long the rest of a refused body is thrown away: a client that still sends would not hear the answer. */
const lingerMs = 5_000;

/** `POST /api/v1/imports`: a raw route because it reads its body as it comes. */
export function postImport(deps: PostImportDependencies): RawRoute {
  const { pool, outbox, store, authenticate, audit, workers, limit, places, maxBytes, maxStoredBytes, uploadMs } = deps;

  async function take(req: IncomingMessage, res: ServerResponse, { requestId, sender }: RawContext): Promise<void> {
    const caller = await authenticate(req.headers.authorization, sender);
    if (caller.sessionId === undefined) throw forbidden('Log in: an agent’s key does not import.');
    requireVerified(caller);
    await takeLimit(res, limit, userSubject(caller));
    const { organizationId, userId } = caller;
    const owner = { organizationId, userId };
    // Before anything is read of it; and again when it is here.
    await tenantTransaction(pool, organizationId, (client) => requireRoom(client, owner, maxStoredBytes));
    const id = uuidv7();
    const fileKey = fileKeyOf(organizationId, id);
    const aborter = new AbortController();
    const slow = new AppError('UPLOAD_TOO_SLOW', 'The upload took too long.', { statusCode: 408 });
    const timer = setTimeout(() => aborter.abort(slow), uploadMs);
    let place: ReturnType<Budget['take']> | undefined;
    try {
      const { form, bytes, fileName } = await receiveImport(req, {
        store,
        key: fileKey,
        maxBytes,
        signal: aborter.signal,
        begin(giveUp) {
          place = places.take(organizationId, 1, giveUp);
        },
      });
      const { kind, timezone = caller.timezone, dateOrder = null } = form;
      // As it is now: an upload takes its time.
      const now = await authenticate(req.headers.authorization, sender);
      const one = {
        ...owner,
        id,
        kind,
        fileName,
        bytes,
        fileKey,
        timezone,
        dateOrder,
        forOthers: now.role === 'admin',
      };
      try {
        await transactionWithEvents(
          { pool, outbox, tenant: organizationId, lock: `imports of ${organizationId}`, whenFull: 'leave' },
          async (client, tell) => {
            await requireRoom(client, owner, maxStoredBytes);
            await createImport(client, one);
            const after = { kind, fileName, bytes };
            const actions = [{ action: 'import.created', entityType: 'import', entityId: id, after }];
            tell(...audit.events(organizationId, auditSource({ req, requestId }, caller), actions));
          },
        );
      } catch (error) {
        // Where this fails the sweep finds it.
        await store.delete(fileKey).catch(() => {});
        throw error;
      }
      workers.wake();
      sendJson(res, 202, { importId: id });
    } finally {
      clearTimeout(timer);
      place?.release();
    }
  }

  return {
    bodyTimeoutMs: uploadMs + 5_000,
    minBodyRate: minUploadRate,
    spec: {
      method: 'post',
      path: '/api/v1/imports',
      operationId: 'createImport',
      summary: 'Bring a file of history',
      description:
        'An export of ActivityWatch, a dump of heartbeats of WakaTime, or a detailed report of Toggl or Clockify as CSV. It is looked at, ' +
        'and imported by `start`; one that is not started is gone after ' +
        `${keptDays} days. Usage is the caller’s own; time entries of an administrator’s file are of the people whose addresses stand in it.`,
      tag: 'imports',
      access: 'session',
      userLimit: limit,
      multipart: true,
      body: importForm.extend({ file: z.file().meta({ description: 'The file.' }) }),
      responses: { 202: { description: 'It is stored and being looked at.', schema: importTaken } },
      alsoAnswers: {
        413: 'The file is too large.',
        415: 'The body is no multipart form.',
        503: 'Too many uploads at once, or not at the moment; try again.',
      },
    },
    async handle(req, res, context) {
      try {
        await take(req, res, context);
      } catch (error) {
        if (!req.complete && !req.destroyed) {
          req.resume();
          const timer = setTimeout(() => {
            if (!req.complete) req.destroy();
          }, lingerMs).unref();
          req.once('close', () => clearTimeout(timer));
        }
        throw error;
      }
    },
  };
}
