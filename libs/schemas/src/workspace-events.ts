import { z } from 'zod';
import { id, instantMs } from './common.ts';
import { projectStatus, taskPriority, taskStatus } from './workspace.ts';

/** Whole states, never differences: of two, the one with the higher `version` counts, whatever their order. */
const state = { id, version: z.int().positive(), deleted: z.boolean() };

/**
 * A deleted project takes its teams and tasks with it, and a restored one brings them back, each as it was: there are no
 * events of theirs, so who follows them joins them with their project.
 */
export const projectState = z.object({
  type: z.literal('project'),
  ...state,
  name: z.string(),
  status: projectStatus,
});

/** `version` also rises with every member that comes or goes. */
export const teamState = z.object({
  type: z.literal('team'),
  ...state,
  /** Null: of no project. */
  projectId: id.nullable(),
  name: z.string(),
  /** Leads among them. */
  memberIds: z.array(id),
  /** Absent in events of before there were any. */
  leadIds: z.array(id).optional(),
});

export const taskState = z.object({
  type: z.literal('task'),
  ...state,
  projectId: id,
  title: z.string(),
  status: taskStatus,
  priority: taskPriority,
  assigneeId: id.nullable(),
  creatorId: id,
  /** A day, or an instant as UTC with milliseconds. */
  dueDate: z.string().nullable(),
  completedAt: instantMs.nullable(),
});

export const workspaceEvent = z.discriminatedUnion('type', [projectState, teamState, taskState]);
export type WorkspaceEvent = z.output<typeof workspaceEvent>;

/**
 * A task was given to somebody, with the version of it that says so: what two states compared may not tell, since one
 * between them may never have been seen. Who did it is the record's `actorId`.
 */
export const taskAssigned = z.object({
  type: z.literal('task.assigned'),
  /** Of the task. */
  id,
  version: z.int().positive(),
  assigneeId: id,
  /** Whose it was before; null: nobody's, or it is new. */
  previousAssigneeId: id.nullable(),
});
export type TaskAssigned = z.output<typeof taskAssigned>;

/** One record of topic `workspace-events`: what one transaction changed in one organisation. */
export const workspaceRecord = z.object({
  organizationId: id,
  /** Who did it, for whoever tells others; null for the system. */
  actorId: id.nullable(),
  events: z.array(workspaceEvent).min(1),
  /** What happened to objects whose states are in `events`. Beside them: readers of before would not know a kind of event. */
  happened: z.array(taskAssigned).min(1).optional(),
});
export type WorkspaceRecord = z.output<typeof workspaceRecord>;
