import { z } from 'zod';
import { role } from './auth.ts';
import { id } from './common.ts';
import { projectStatus } from './workspace.ts';

/** What workspace tells the writer of time entries about projects and tasks that the log has not told it of yet. */

export const maxAskedObjects = 500;

export const askObjects = z.object({
  organizationId: id,
  projectIds: z.array(id).max(maxAskedObjects),
  taskIds: z.array(id).max(maxAskedObjects),
});

/** The parts of `projectState` and `taskState` that say whether time may go there. */
export const knownProject = z.object({ id, version: z.int().positive(), status: projectStatus, deleted: z.boolean() });
export const knownTask = z.object({ id, version: z.int().positive(), projectId: id, deleted: z.boolean() });
export type KnownProject = z.output<typeof knownProject>;
export type KnownTask = z.output<typeof knownTask>;

/** Those of the asked that the organisation has, or had. */
export const foundObjects = z.object({ projects: z.array(knownProject), tasks: z.array(knownTask) });

/** Projects by what they are called, in whatever case. */
export const askProjectNames = z.object({
  organizationId: id,
  names: z.array(z.string().max(500)).max(maxAskedObjects),
});
/** The active ones, under the name that was asked. */
export const foundProjectNames = z.object({ projects: z.array(z.object({ name: z.string(), id })) });

/** Whether somebody sees a task, as `GET /tasks/:id` would show it. */
export const askSeesTask = z.object({ organizationId: id, userId: id, role, taskId: id });
export const seesTask = z.object({ sees: z.boolean() });

/** Who is in a team; null where there is no such team. */
export const askTeam = z.object({ organizationId: id, teamId: id });
export const foundTeam = z.object({ userIds: z.array(id).nullable() });

/** Whom somebody leads: who is in a team of theirs that is there, they themselves among them. */
export const askLed = z.object({ organizationId: id, leadId: id });
export const ledPeople = z.object({ teamIds: z.array(id), userIds: z.array(id) });
