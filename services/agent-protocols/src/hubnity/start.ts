import type { Pool } from '@worktide/postgres';
import { AppError, forbidden, unavailable } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { z } from 'zod';
import { type Api, type OnBehalf, read, type Who } from './api.ts';
import { refused } from './refusals.ts';
import { nextRequest, requestId } from './requests.ts';
import { isId } from './shapes.ts';

/** What the desktop starts a timer with. */
export const startBody = z.looseObject({
  userId: z.string().max(128).nullable().optional(),
  projectId: z.string().max(128).nullable().optional(),
  startTime: z.string().max(64).nullable().optional().meta({ description: 'Now unless said, or where it is ahead.' }),
  description: z.string().max(10_000).nullable().optional(),
});
export type StartBody = z.output<typeof startBody>;

/** Of one start: two that its first entry is over, and one that somebody else was faster. */
const maxTries = 4;

const cut = (text: string): string => [...text].slice(0, schemas.timeEntryBounds.description).join('').toWellFormed();

/** @throws 400 for a project that is none. */
function timerOf({ projectId, startTime, description }: StartBody, nowMs: number): object {
  if (projectId && !isId(projectId)) {
    throw new AppError('PROJECT_UNKNOWN', 'There is no such project.', { statusCode: 400 });
  }
  // Its clock may be ahead of ours.
  const startedAt = startTime ? Date.parse(startTime) : Number.NaN;
  return {
    ...(projectId ? { projectId } : {}),
    ...(description ? { description: cut(description) } : {}),
    ...(startedAt < nowMs ? { startTime: new Date(startedAt).toISOString() } : {}),
  };
}

/**
 * Starts a timer. The desktop makes its keys from what is asked for, so that each start of a project has the same one: a key of
 * its is one entry only while the first entry of it is open. So each has an id of ours, by which the start is asked for, and another
 * one once that has been stopped or deleted.
 * @param key as the desktop sends it; undefined for a start that is sent once.
 * @throws 400 in the words that it knows, 403 for another user's, 503.
 */
export async function startTimer(
  { api, pool }: { api: Api; pool: Pool },
  caller: Who,
  body: StartBody,
  key: string | undefined,
  as: OnBehalf,
): Promise<schemas.TimeEntry> {
  // What was queued by somebody who is logged out by now is not the time of who came after.
  if (body.userId && body.userId !== caller.userId) {
    throw forbidden('You can only create time entries for yourself');
  }
  const timer = timerOf(body, Date.now());
  const post = (id?: string) => {
    const headers = id === undefined ? {} : { 'idempotency-key': id };
    return api.call('session-writer', { method: 'POST', path: '/time-entries', body: timer, headers }, as);
  };
  if (key === undefined) {
    const answer = await post();
    if (!answer.ok) throw refused(answer, 'start');
    return read(schemas.timeEntry, answer.body, 'session-writer');
  }
  const parts = ['start', key, JSON.stringify([body.projectId, body.startTime, body.description])];
  for (let tries = 0; tries < maxTries; tries++) {
    const id = await requestId(pool, caller, parts, { signal: as.signal });
    const answer = await post(id);
    // 404: what it made before was deleted. 422: it was asked for in another form, as ahead of the clock of then.
    const over = !answer.ok && (answer.status === 404 || answer.status === 422);
    if (!answer.ok && !over) throw refused(answer, 'start');
    if (answer.ok) {
      const entry = read(schemas.timeEntry, answer.body, 'session-writer');
      if (answer.status === 201 || entry.status !== 'STOPPED') return entry;
    }
    await nextRequest(pool, caller, parts, id, as.signal);
  }
  throw unavailable('session-writer', new Error('a start found its entry stopped again and again'));
}
