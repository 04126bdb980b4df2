import type { Pool } from '@worktide/postgres';
import {
  type AnyRoute,
  AppError,
  type Authenticate,
  type Budget,
  forbidden,
  invalid,
  type RawRoute,
  type RequestLimit,
  requireVerified,
  route,
  sendJson,
  takeLimit,
  userSubject,
} from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { z } from 'zod';
import { readJson } from '../body.ts';
import { type Api, type OnBehalf, onBehalfOf, read, type Who } from './api.ts';
import { entryOf } from './projects.ts';
import { entryNotFound, refused } from './refusals.ts';
import { requestId as idOfRequest } from './requests.ts';
import { hubnityScreenshot, isId, showScreenshot } from './shapes.ts';

export interface ScreenshotDependencies {
  api: Api;
  pool: Pool;
  authenticate: Authenticate;
  limit: RequestLimit;
  /** Bytes that uploads hold. */
  budget: Budget;
}

const tag = 'hubnity';
/** Hubnity takes ten megabytes of base64; a little more is no reason to lose a picture. */
const maxBodyBytes = 16_000_000;
const requestBytes = 4_096;
const uploadTimeoutMs = 60_000;
/**
 * The same picture of the same entry within these seconds is one that is sent again: the desktop tries within seconds, and takes the
 * next picture after minutes.
 */
const sameForSeconds = 240;
const shown = 100;

const uploadBody = z.looseObject({
  timeEntryId: z.string().max(128),
  imageData: z.string().meta({ description: '`data:image/jpeg;base64,…`, or the base64 alone.' }),
});

/** @throws 400 in Hubnity's words. */
function pictureOf(imageData: string): Buffer<ArrayBuffer> {
  const base64 = imageData.replace(/^data:image\/[a-z+.-]{1,32};base64,/, '');
  if (base64 === '') throw invalid('INVALID_PICTURE', 'Invalid image data format');
  if (!/^[\w+/-]+={0,2}$/.test(base64)) throw invalid('INVALID_PICTURE', 'Invalid base64 encoding');
  return Buffer.from(base64, 'base64');
}

/** Pictures as the desktop sends them, base64 in JSON, and lists them: of one time entry of one's own. */
export function screenshotRoutes(deps: ScreenshotDependencies): { routes: AnyRoute[]; rawRoutes: RawRoute[] } {
  const { api, pool, authenticate, limit, budget } = deps;

  async function ownEntry(id: string, caller: Who, as: OnBehalf): Promise<schemas.TimeEntry> {
    if (!isId(id)) throw entryNotFound();
    const entry = await entryOf(api, id, as);
    if (entry.userId !== caller.userId) {
      throw forbidden('You can only upload screenshots for your own time entries');
    }
    return entry;
  }

  async function upload(caller: Who, entry: schemas.TimeEntry, picture: Buffer<ArrayBuffer>, as: OnBehalf) {
    const nowMs = Date.now();
    // What comes late was taken while the entry ran; when, the desktop does not say.
    const capturedAt = new Date(Math.min(nowMs, entry.endTime ? Date.parse(entry.endTime) : nowMs)).toISOString();
    const id = await idOfRequest(pool, caller, ['screenshot', entry.id, picture], {
      seconds: sameForSeconds,
      signal: as.signal,
    });
    const form = new FormData();
    form.set('screenshotId', id);
    form.set('timeEntryId', entry.id);
    form.set('capturedAt', capturedAt);
    form.set('file', new Blob([picture]), 'screenshot');
    const answer = await api.call(
      'ingest-gateway',
      { method: 'POST', path: '/sync/screenshots', body: form, timeoutMs: uploadTimeoutMs },
      as,
    );
    if (!answer.ok) throw refused(answer, 'screenshot');
    const { screenshotId } = read(schemas.takenScreenshot, answer.body, 'ingest-gateway');
    return {
      id: screenshotId,
      timeEntryId: entry.id,
      userId: caller.userId,
      // It is looked at first; the list has links once it is ready.
      imageUrl: '',
      thumbnailUrl: '',
      timestamp: capturedAt,
      createdAt: new Date(nowMs).toISOString(),
    };
  }

  const post: RawRoute = {
    bodyTimeoutMs: 120_000,
    spec: {
      method: 'post',
      path: '/api/screenshots',
      operationId: 'hubnityPostScreenshot',
      summary: 'Take a screenshot of Hubnity’s desktop',
      description:
        'As `POST /api/v1/sync/screenshots` takes it, with the limits of that. A picture sent again at once is the same one.',
      tag,
      access: 'session',
      userLimit: limit,
      body: uploadBody,
      responses: { 201: { description: 'It is durable and will be processed.', schema: hubnityScreenshot } },
      alsoAnswers: { 404: 'No such time entry.', 413: 'The body is over 16 MB.', 415: 'It is no picture.' },
    },
    async handle(req, res, { requestId, sender }) {
      const caller = await authenticate(req.headers.authorization, sender);
      if (!caller.sessionId) throw forbidden('This needs a login, not an agent key.');
      requireVerified(caller);
      await takeLimit(res, limit, userSubject(caller));
      const holding = budget.take(caller.organizationId, requestBytes);
      try {
        const given = uploadBody.safeParse(await readJson(req, maxBodyBytes, holding));
        if (!given.success) throw invalid('VALIDATION_FAILED', 'imageData and timeEntryId must be strings');
        const ended = new AbortController();
        res.once('close', () => ended.abort());
        const as = onBehalfOf({ headers: req.headers }, { requestId, signal: ended.signal });
        const { timeEntryId, imageData } = given.data;
        const entry = await ownEntry(timeEntryId, caller, as);
        sendJson(res, 201, await upload(caller, entry, pictureOf(imageData), as));
      } catch (error) {
        // To the desktop a picture that cannot be is 400 like anything else that cannot be.
        if (error instanceof AppError && error.code === 'UNSUPPORTED_PICTURE') {
          throw new AppError('UNSUPPORTED_PICTURE', 'Invalid or unsupported image format', {
            statusCode: 400,
            cause: error,
          });
        }
        throw error;
      } finally {
        holding.release();
      }
    },
  };

  const list = route({
    method: 'get',
    path: '/api/screenshots/time-entry/:id',
    operationId: 'hubnityScreenshots',
    summary: 'Screenshots of a time entry, to Hubnity’s desktop',
    tag,
    access: 'session',
    userLimit: limit,
    params: z.object({ id: z.string().max(128) }),
    responses: { 200: { description: 'The newest 100 that are ready.', schema: z.array(hubnityScreenshot) } },
    handler: async ({ req, params: { id }, requestId, signal }) => {
      if (!isId(id)) throw entryNotFound();
      const as = onBehalfOf(req, { requestId, signal });
      const entry = await entryOf(api, id, as);
      const query = new URLSearchParams({
        timeEntryId: entry.id,
        userId: entry.userId,
        status: 'ready',
        limit: String(shown),
      });
      const answer = await api.call('screenshot-processor', { method: 'GET', path: `/screenshots?${query}` }, as);
      if (!answer.ok) throw refused(answer, 'look');
      const { items } = read(schemas.screenshotPage, answer.body, 'screenshot-processor');
      return { status: 200, body: items.map((one) => showScreenshot(one, entry.id)) };
    },
  });
  return { routes: [list], rawRoutes: [post] };
}
