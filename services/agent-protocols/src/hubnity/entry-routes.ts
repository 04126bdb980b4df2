import type { Pool } from '@worktide/postgres';
import { type AnyRoute, type RequestLimit, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { z } from 'zod';
import { type Api, type OnBehalf, onBehalfOf, read } from './api.ts';
import { activeProjects, entryOf, projectOf } from './projects.ts';
import { entryNotFound, refused } from './refusals.ts';
import { hubnityEntry, hubnityProject, isId, showEntry, showProject } from './shapes.ts';
import { startBody, startTimer } from './start.ts';

const tag = 'hubnity';
const path = '/api/time-entries';
/** Also what the desktop made up while there was no connection: that is 404. */
const params = z.object({ id: z.string().max(128) });
const keyHeader = 'x-idempotency-key';
const maxKey = 256;

/** Projects and timers as the desktop knows them: each call is one of ours, with the person's own token. */
export function entryRoutes({ api, pool, limit }: { api: Api; pool: Pool; limit: RequestLimit }): AnyRoute[] {
  const common = { tag, access: 'session', userLimit: limit } as const;
  const show = async (entry: schemas.TimeEntry, as: OnBehalf) => showEntry(entry, await projectOf(api, entry, as));

  const step = (name: 'pause' | 'resume' | 'stop', summary: string, refusal: string): AnyRoute =>
    route({
      ...common,
      method: 'put',
      path: `${path}/:id/${name}`,
      operationId: `hubnity${name[0]!.toUpperCase()}${name.slice(1)}Timer`,
      summary,
      params,
      body: z.looseObject({}).optional(),
      responses: { 200: { description: 'As it is now.', schema: hubnityEntry } },
      alsoAnswers: { 400: refusal },
      handler: async ({ req, params: { id }, requestId, signal }) => {
        if (!isId(id)) throw entryNotFound();
        const as = onBehalfOf(req, { requestId, signal });
        const answer = await api.call('session-writer', { method: 'PUT', path: `/time-entries/${id}/${name}` }, as);
        if (!answer.ok) throw refused(answer, name);
        return { status: 200, body: await show(read(schemas.timeEntry, answer.body, 'session-writer'), as) };
      },
    });

  return [
    route({
      ...common,
      method: 'get',
      path: '/api/projects',
      operationId: 'hubnityProjects',
      summary: 'Projects to start a timer for, to Hubnity’s desktop',
      description: 'The newest 2,000 that are active.',
      responses: { 200: { description: 'All at once.', schema: z.array(hubnityProject) } },
      handler: async ({ req, caller, requestId, signal }) => {
        const projects = await activeProjects(api, onBehalfOf(req, { requestId, signal }));
        return { status: 200, body: projects.map((one) => showProject(one, caller.organizationId)) };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${path}/active`,
      operationId: 'hubnityActiveTimer',
      summary: 'My open timer, to Hubnity’s desktop',
      responses: { 200: { description: 'None or one, running or paused.', schema: z.array(hubnityEntry).max(1) } },
      handler: async ({ req, requestId, signal }) => {
        const as = onBehalfOf(req, { requestId, signal });
        const answer = await api.call('session-writer', { method: 'GET', path: '/time-entries/active' }, as);
        if (!answer.ok) throw refused(answer, 'look');
        const { entry } = read(schemas.activeTimeEntry, answer.body, 'session-writer');
        return { status: 200, body: entry ? [await show(entry, as)] : [] };
      },
    }),
    route({
      ...common,
      method: 'get',
      path: `${path}/:id`,
      operationId: 'hubnityTimer',
      summary: 'A time entry, to Hubnity’s desktop',
      params,
      responses: { 200: { description: 'As it is now.', schema: hubnityEntry } },
      handler: async ({ req, params: { id }, requestId, signal }) => {
        if (!isId(id)) throw entryNotFound();
        const as = onBehalfOf(req, { requestId, signal });
        return { status: 200, body: await show(await entryOf(api, id, as), as) };
      },
    }),
    route({
      ...common,
      method: 'post',
      path,
      operationId: 'hubnityStartTimer',
      summary: 'Start a timer by Hubnity’s desktop',
      description:
        'The key repeats for every start of a project: sent again, it is answered with the entry that it made while that is open, ' +
        'and starts another one after.',
      requestHeaders: { 'X-Idempotency-Key': 'Of what is asked for, at most 256 characters.' },
      body: startBody,
      responses: { 201: { description: 'It is open.', schema: hubnityEntry } },
      alsoAnswers: { 400: '“User already has an active time entry …”, and what else forbids it.' },
      handler: async ({ req, body, caller, requestId, signal }) => {
        const as = onBehalfOf(req, { requestId, signal });
        const key = req.headers[keyHeader];
        const entry = await startTimer({ api, pool }, caller, body, key ? String(key).slice(0, maxKey) : undefined, as);
        return { status: 201, body: await show(entry, as) };
      },
    }),
    step('pause', 'Pause a timer by Hubnity’s desktop', '“Only running entries can be paused”'),
    step('resume', 'Go on with a timer by Hubnity’s desktop', '“Only paused entries can be resumed”'),
    step('stop', 'Stop a timer by Hubnity’s desktop', '“Time entry is already stopped”'),
  ];
}
