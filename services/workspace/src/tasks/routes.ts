import { type AnyRoute, type Caller, route } from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import type { z } from 'zod';
import type { WorkspaceContext } from '../context.ts';
import { sightOf } from '../policies.ts';
import { findProject } from '../projects/projects.ts';
import type { Change, RequestSource, Tenant } from '../store/store.ts';
import { lookUpUser } from '../users.ts';
import { listTasks, taskStats } from './list.ts';
import { findTask, showTask } from './rows.ts';
import { changeTask, createTask, deleteTask, restoreTask } from './tasks.ts';

const tag = 'tasks';
const bodyLimit = 200_000;

export function taskRoutes({ store, findUser, organization }: WorkspaceContext): AnyRoute[] {
  // Before the transaction: nothing of another service is waited for within one.
  const sightOfCaller = (caller: Caller) =>
    sightOf(caller, async () => (await organization(caller.organizationId))?.settings);

  const lookUpAssignee = (caller: Caller, assigneeId: string | null | undefined) =>
    assigneeId ? lookUpUser(findUser, caller.organizationId, assigneeId, 'body.assigneeId') : Promise.resolve(() => {});

  /** @param inPath whether the project was named by the path: then it is 404 where it is not there. */
  async function create(source: RequestSource, body: z.output<typeof schemas.newTask>, inPath: boolean) {
    const mustBeKnown = await lookUpAssignee(source.caller, body.assigneeId);
    return store.change(source, async (change) => {
      if (inPath) await findProject(change, body.projectId);
      return createTask(change, body, mustBeKnown);
    });
  }

  return [
    route({
      method: 'get',
      path: '/api/v1/projects/:id/tasks',
      operationId: 'listTasksOfProject',
      summary: 'Tasks of a project',
      tag,
      access: 'user',
      params: schemas.idParams,
      query: schemas.taskOfProjectQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.taskPage } },
      handler: async ({ caller, signal, params, query }) => {
        const sight = await sightOfCaller(caller);
        const body = await store.list({ caller, signal }, async (tenant) => {
          const { id: projectId } = await findProject(tenant, params.id);
          return listTasks(tenant, sight, { ...query, projectId });
        });
        return { status: 200, body };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/projects/:id/tasks',
      operationId: 'createTaskInProject',
      summary: 'Make a task in a project',
      tag,
      access: 'session',
      params: schemas.idParams,
      body: schemas.newTaskOfProject,
      bodyLimit,
      responses: { 201: { description: 'The task.', schema: schemas.task } },
      handler: async (context) => ({
        status: 201,
        body: await create(context, { ...context.body, projectId: context.params.id.toLowerCase() }, true),
      }),
    }),
    route({
      method: 'get',
      path: '/api/v1/tasks',
      operationId: 'listTasks',
      summary: 'Tasks of my organization',
      description:
        'All filters given must hold. A search that holds no word finds nothing. Where the setting `taskVisibility` is ' +
        '`own`, there are for employees only the tasks that they created or are assigned to, here and in all that ' +
        'concerns tasks.',
      tag,
      access: 'user',
      query: schemas.taskQuery,
      responses: { 200: { description: 'Newest first.', schema: schemas.taskPage } },
      handler: async ({ caller, signal, query }) => {
        const sight = await sightOfCaller(caller);
        return { status: 200, body: await store.list({ caller, signal }, (tenant) => listTasks(tenant, sight, query)) };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/tasks',
      operationId: 'createTask',
      summary: 'Make a task',
      description: 'Its maker may change it later, as managers and admins may; its assignee may set `status`.',
      tag,
      access: 'session',
      body: schemas.newTask,
      bodyLimit,
      responses: { 201: { description: 'The task.', schema: schemas.task } },
      handler: async (context) => ({ status: 201, body: await create(context, context.body, false) }),
    }),
    route({
      method: 'get',
      path: '/api/v1/tasks/stats',
      operationId: 'taskStats',
      summary: 'How many tasks there are of each kind',
      tag,
      access: 'user',
      query: schemas.taskStatsQuery,
      responses: { 200: { description: 'Counts of what passes the filters.', schema: schemas.taskStats } },
      handler: async ({ caller, signal, query }) => {
        const sight = await sightOfCaller(caller);
        const count = (tenant: Tenant) => taskStats(tenant, sight, query, caller.timezone);
        return { status: 200, body: await store.list({ caller, signal }, count) };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/tasks/:id',
      operationId: 'getTask',
      summary: 'A task',
      tag,
      access: 'user',
      params: schemas.idParams,
      responses: { 200: { description: 'The task.', schema: schemas.task } },
      handler: async ({ caller, signal, params }) => {
        const sight = await sightOfCaller(caller);
        const find = (tenant: Tenant) => findTask(tenant, sight, params.id);
        return { status: 200, body: showTask(await store.read({ caller, signal }, find)) };
      },
    }),
    route({
      method: 'patch',
      path: '/api/v1/tasks/:id',
      operationId: 'changeTask',
      summary: 'Change a task',
      description:
        'Only if `version` is the present one, else 409 `STALE_VERSION`. For its maker, managers and admins; its ' +
        'assignee may change `status` alone.',
      tag,
      access: 'session',
      params: schemas.idParams,
      body: schemas.taskChange,
      bodyLimit,
      responses: { 200: { description: 'The task as it is now.', schema: schemas.task } },
      handler: async (context) => {
        const { caller, params, body } = context;
        const sight = await sightOfCaller(caller);
        const mustBeKnown = await lookUpAssignee(caller, body.assigneeId);
        return {
          status: 200,
          body: await store.change(context, (change) => changeTask(change, sight, params.id, body, mustBeKnown)),
        };
      },
    }),
    route({
      method: 'delete',
      path: '/api/v1/tasks/:id',
      operationId: 'deleteTask',
      summary: 'Delete a task',
      description: 'For its maker, managers and admins. It can be restored.',
      tag,
      access: 'session',
      params: schemas.idParams,
      responses: { 204: { description: 'Deleted.' } },
      handler: async (context) => {
        const sight = await sightOfCaller(context.caller);
        await store.change(context, (change) => deleteTask(change, sight, context.params.id));
        return { status: 204 };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/tasks/:id/restore',
      operationId: 'restoreTask',
      summary: 'Bring a deleted task back',
      description: 'For its maker, managers and admins. One that is not deleted is 409 `NOT_DELETED`.',
      tag,
      access: 'session',
      params: schemas.idParams,
      responses: { 200: { description: 'The task.', schema: schemas.task } },
      handler: async (context) => {
        const sight = await sightOfCaller(context.caller);
        const restore = (change: Change) => restoreTask(change, sight, context.params.id);
        return { status: 200, body: await store.change(context, restore) };
      },
    }),
  ];
}
