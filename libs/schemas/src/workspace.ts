import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { plainText } from './auth.ts';
import { givenId, id, instant, localDate, namesSomething, page, pageQuery } from './common.ts';

const instantOut = z.iso.datetime();
const version = z
  .int()
  .positive()
  .meta({ description: 'Of the state that the change was made from; an older one is 409.' });

/** Longer text: lines are kept. */
const description = z.string().max(20_000).refine(isStorable, { message: 'holds what no store takes' }).nullable();

export const projectStatus = z.enum(['active', 'on_hold', 'completed', 'archived']);
export const taskStatus = z.enum(['todo', 'in_progress', 'done']);
export const taskPriority = z.enum(['low', 'medium', 'high']);

export const project = z
  .object({
    id,
    name: z.string(),
    description: z.string().nullable(),
    status: projectStatus,
    color: z.string().nullable(),
    clientName: z.string().nullable(),
    budgetSeconds: z.int().nullable(),
    createdBy: id,
    createdAt: instantOut,
    updatedAt: instantOut,
    version: z.int(),
  })
  .meta({ id: 'Project' });
export type Project = z.output<typeof project>;
export const projectPage = page(project);
export type ProjectPage = z.output<typeof projectPage>;

/** What a project may have besides; null as absent. */
const projectDetails = {
  description: description.optional(),
  color: z
    .string()
    .regex(/^(#([\da-f]{3}|[\da-f]{6}|[\da-f]{8})|[a-z]{3,30})$/i, 'not a color')
    .nullable()
    .optional()
    .meta({ description: 'As in CSS: `#rrggbb` or a name.' }),
  clientName: plainText(200).nullable().optional().meta({ description: 'For whom the work is done.' }),
  budgetSeconds: z
    .int()
    .min(0)
    .max(10_000_000_000)
    .nullable()
    .optional()
    .meta({ description: 'Of work, for all of it.' }),
};
export const newProject = z.object({
  name: plainText(200),
  status: projectStatus.default('active'),
  ...projectDetails,
});
export const projectChange = z
  .object({
    name: plainText(200).optional(),
    status: projectStatus.optional(),
    ...projectDetails,
    version: version.optional(),
  })
  .refine(...namesSomething('version'));
export const projectQuery = z.object({ ...pageQuery, status: projectStatus.optional() });

export const team = z
  .object({
    id,
    projectId: id.nullable().meta({ description: 'Null: a department, of no project.' }),
    name: z.string(),
    memberCount: z.int(),
    createdAt: instantOut,
    updatedAt: instantOut,
    version: z.int(),
  })
  .meta({ id: 'Team' });
export type Team = z.output<typeof team>;
export const teamPage = page(team);
/** In `/projects/:id/teams`, whose path names the project. */
export const newTeamOfProject = z.object({ name: plainText(200) });
export const newTeam = newTeamOfProject.extend({ projectId: givenId.nullable().default(null) });
export const teamQuery = z.object({ ...pageQuery, projectId: givenId.optional() });
export const teamChange = z
  .object({ name: plainText(200).optional(), version: version.optional() })
  .refine(...namesSomething('version'));

export const teamMemberRole = z.enum(['member', 'lead']);
export const teamMember = z
  .object({
    userId: id,
    role: teamMemberRole.meta({ description: 'A lead reads reports, alerts and screenshots of the members.' }),
    addedAt: instantOut,
  })
  .meta({ id: 'TeamMember' });
export const teamMemberPage = page(teamMember);
export const newTeamMember = z.object({ userId: givenId, role: teamMemberRole.optional() });
export const teamMemberParams = z.object({ id, userId: givenId });

/** What stores and programs agree on as a date; beyond it nobody plans. */
const isPlannable = (text: string): boolean => text >= '1970-01-01' && text < '9999-12-31';

/** A day, or an instant; given back in the form it came in, instants as UTC with milliseconds. */
export const dueDate = z
  .union([
    localDate,
    instant.transform((text, context) => {
      const utc = new Date(text);
      if (!Number.isNaN(utc.getTime())) return utc.toISOString();
      context.addIssue({ code: 'custom', message: 'not an instant' });
      return z.NEVER;
    }),
  ])
  .refine((text) => isPlannable(text), { message: 'must be from 1970 to 9999' })
  .nullable();

export const task = z
  .object({
    id,
    projectId: id,
    title: z.string(),
    description: z.string().nullable(),
    status: taskStatus,
    priority: taskPriority,
    assigneeId: id.nullable(),
    creatorId: id,
    dueDate: z.string().nullable().meta({ description: 'A day (`2026-11-30`) or an instant.' }),
    completedAt: instantOut.nullable(),
    createdAt: instantOut,
    updatedAt: instantOut,
    deletedAt: instantOut.nullable(),
    version: z.int(),
  })
  .meta({ id: 'Task' });
export type Task = z.output<typeof task>;
export const taskPage = page(task);

const taskFields = {
  title: plainText(300),
  description: description.optional(),
  status: taskStatus.default('todo'),
  priority: taskPriority.default('medium'),
  assigneeId: givenId.nullable().optional(),
  dueDate: dueDate.optional(),
};
export const newTask = z.object({ projectId: givenId, ...taskFields });
/** In `/projects/:id/tasks`, whose path names the project. */
export const newTaskOfProject = z.object(taskFields);
export const taskChange = z
  .object({
    version,
    projectId: givenId.optional(),
    title: plainText(300).optional(),
    description: description.optional(),
    status: taskStatus.optional(),
    priority: taskPriority.optional(),
    assigneeId: givenId.nullable().optional(),
    dueDate: dueDate.optional(),
  })
  .refine(...namesSomething('version'));
export type TaskChange = z.output<typeof taskChange>;

const taskFilters = {
  status: taskStatus.optional(),
  priority: taskPriority.optional(),
  assigneeId: givenId.optional(),
  creatorId: givenId.optional(),
  projectId: givenId.optional(),
  // Any text: only its words are looked at.
  search: z
    .string()
    .max(200)
    .optional()
    .meta({ description: 'Words of title and description, in any order; the last may be unfinished.' }),
};
export const taskQuery = z.object({ ...pageQuery, ...taskFilters });
export const taskOfProjectQuery = taskQuery.omit({ projectId: true });
export const taskStatsQuery = z.object(taskFilters);
export type TaskFilters = z.output<typeof taskStatsQuery>;

export const taskStats = z
  .object({
    total: z.int(),
    byStatus: z.object({ todo: z.int(), in_progress: z.int(), done: z.int() }),
    byPriority: z.object({ low: z.int(), medium: z.int(), high: z.int() }),
    overdue: z.int().meta({ description: 'Not done, and due before now (a day: before today, where the caller is).' }),
    unassigned: z.int().meta({ description: 'Not done, and nobody’s.' }),
  })
  .meta({ id: 'TaskStats' });
export type TaskStats = z.output<typeof taskStats>;
