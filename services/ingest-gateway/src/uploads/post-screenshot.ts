import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ObjectStore } from '@worktide/object-store';
import { isPaused, type PrivacyGuard, takenAt } from '@worktide/privacy';
import {
  AppError,
  type Authenticate,
  type RawContext,
  type RawRoute,
  type RequestLimit,
  requireVerified,
  sendJson,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import { screenshotForm, takenScreenshot } from '@worktide/schemas';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { linger } from '../linger.ts';
import type { Stored } from '../storage/stored.ts';
import type { Announcer, UploadMetrics } from './announce.ts';
import { receive } from './receive.ts';
import type { Slots } from './slots.ts';

export interface UploadDependencies {
  config: Config;
  store: ObjectStore;
  announcer: Announcer;
  privacy: PrivacyGuard;
  /** Requests of one user to `/sync/*`. */
  limit: RequestLimit;
  uploads: UploadMetrics;
  stored: Pick<Stored, 'requireScreenshots'>;
}

/** Past every UPLOAD_TIMEOUT_SECONDS, which bounds the body here. */
const bodyTimeoutMs = 125_000;
/** Bytes a second: a place for an upload is not for those who fall asleep over it. */
export const minUploadRate = 8 * 1024;

/**
 * `POST /api/v1/sync/screenshots`: credential, limit, a share of the memory, the picture into the store, the event on the log,
 * 202. A raw route because it reads its body as it comes.
 */
export function postScreenshot(deps: UploadDependencies & { authenticate: Authenticate; slots: Slots }): RawRoute {
  const { config, store, announcer, privacy, limit, uploads, stored, authenticate, slots } = deps;
  const spec: RawRoute['spec'] = {
    method: 'post',
    path: '/api/v1/sync/screenshots',
    operationId: 'postScreenshot',
    summary: 'Take a screenshot',
    description:
      'JPEG, PNG, WebP or AVIF; the first bytes decide, not the declared type. Answered once the picture and the word of it are durable. ' +
      'Sending it again with the same `screenshotId` is harmless: the first counts. Fields may stand before or behind the file; ' +
      'a `screenshotId` before it saves a copy. What privacy takes away is answered alike, and kept nowhere.',
    tag: 'ingest',
    access: 'user',
    agents: true,
    userLimit: limit,
    multipart: true,
    body: screenshotForm.extend({ file: z.file().meta({ description: 'The picture, 50 MB at most.' }) }),
    responses: { 202: { description: 'It is durable and will be processed.', schema: takenScreenshot } },
    alsoAnswers: {
      408: 'The upload took longer than two minutes.',
      409: '`STORAGE_QUOTA_EXCEEDED`: the plan of the organization takes no more screenshots.',
      413: 'The picture is too large.',
      415: 'It is none of the four kinds of picture, or the body is no multipart form.',
      503: 'Too many uploads at once, or not at the moment; try again.',
    },
  };

  async function take(req: IncomingMessage, res: ServerResponse, { log, sender }: Pick<RawContext, 'log' | 'sender'>) {
    const caller = await authenticate(req.headers.authorization, sender);
    requireVerified(caller);
    await takeLimit(res, limit, userSubject(caller));
    await stored.requireScreenshots(caller.organizationId);
    const slot = slots.enter(caller);
    try {
      await announcer.prepare();
      // Before anything is read: where the rules are not known nothing is taken.
      await privacy.of(caller);
      let why: ReturnType<typeof takenAt> = isPaused(caller, Date.now()) ? 'pause' : undefined;
      const { kept, ...picture } = await receive(req, caller, {
        config,
        store,
        log,
        begin: slot.hold,
        nowhere: why !== undefined,
        async taken(capturedAt = Date.now()) {
          // As it is now: an upload takes its time, and a pause does not wait for it.
          const now = await authenticate(req.headers.authorization, sender);
          why = takenAt(await privacy.of(now), { start: capturedAt, end: capturedAt + 1 }, now, Date.now());
          return why !== undefined;
        },
      });
      if (kept) {
        await announcer.announce(caller, picture);
        uploads.accepted('form', picture.size);
      } else if (why) privacy.taken([why]);
      sendJson(res, 202, { screenshotId: picture.screenshotId });
    } finally {
      slot.leave();
    }
  }

  return {
    spec,
    bodyTimeoutMs,
    minBodyRate: minUploadRate,
    async handle(req, res, { log, requestId, sender }) {
      try {
        await take(req, res, { log: log.child({ requestId }), sender });
      } catch (error) {
        uploads.refused(error);
        if (error instanceof AppError && error.code === 'UPLOAD_TOO_SLOW') res.setHeader('connection', 'close');
        else linger(req);
        throw error;
      }
    },
  };
}
