import { z } from 'zod';
import { id, page, pageQuery, timezone } from './common.ts';

export const importKind = z.enum(['activitywatch', 'wakatime', 'toggl', 'clockify']);
export type ImportKind = z.output<typeof importKind>;

/** In which order the dates of a file have day, month and year. */
export const dateOrder = z.enum(['ymd', 'dmy', 'mdy']);
export type DateOrder = z.output<typeof dateOrder>;

export const importForm = z.object({
  kind: importKind,
  timezone: timezone.optional().meta({
    description:
      'The zone of the times in the file, which Toggl does not write into it; of Clockify the person’s unless said.',
  }),
  dateOrder: dateOrder.optional().meta({ description: 'Of Clockify, where the file itself leaves two days possible.' }),
});
export const importTaken = z.object({ importId: id });

/**
 * `reading`: it is being looked at. `ready`: nothing was imported yet, `start` does it. `queued`, `running`: it is being imported.
 * `done`. `failed`: it cannot be imported, or not go on.
 */
export const importStatus = z.enum(['reading', 'ready', 'queued', 'running', 'done', 'failed']);
export type ImportStatus = z.output<typeof importStatus>;

export const importProblem = z.object({
  code: z.string(),
  message: z.string(),
  count: z.int().min(1).meta({ description: 'Rows that it is about.' }),
  rows: z.array(z.int()).meta({ description: 'The first of them, counted from 1.' }),
});
export type ImportProblem = z.output<typeof importProblem>;

export const importPerson = z.object({
  name: z.string().nullable(),
  email: z.string().nullable(),
  userId: id.nullable().meta({ description: 'null: nobody here has this address, and the rows are left out.' }),
  rows: z.int().min(0),
});
export type ImportPerson = z.output<typeof importPerson>;

export const importPreview = z.object({
  rows: z.int().min(0).meta({ description: 'All that the file has.' }),
  usable: z.int().min(0).meta({ description: 'Of these, what can be imported.' }),
  from: z.iso.datetime().nullable(),
  to: z.iso.datetime().nullable(),
  timezone: z.string().nullable().meta({ description: 'In which its times are read; null where they are instants.' }),
  people: z.array(importPerson).meta({ description: 'By whom the rows are; 200 at most.' }),
  projects: z
    .array(z.object({ name: z.string(), projectId: id.nullable(), rows: z.int() }))
    .meta({ description: 'What the file calls projects; those of no project here become a tag. 200 at most.' }),
  devices: z.array(z.object({ name: z.string(), rows: z.int() })),
  problems: z.array(importProblem),
});
export type ImportPreview = z.output<typeof importPreview>;

export const importJob = z
  .object({
    id,
    kind: importKind,
    status: importStatus,
    userId: id.meta({ description: 'Who imports.' }),
    fileName: z.string().nullable(),
    bytes: z.int(),
    progress: z.number().min(0).max(1).meta({ description: 'Of reading it, or of importing it.' }),
    preview: importPreview.nullable(),
    result: z
      .object({
        added: z.int().meta({ description: 'Rows that were new.' }),
        alreadyThere: z.int().meta({ description: 'Rows that this or another import had brought before.' }),
        refused: z.int().meta({ description: 'Rows that could not be taken, conflicts among them.' }),
        problems: z.array(importProblem),
      })
      .nullable()
      .meta({ description: 'null until it was started.' }),
    failure: z.object({ code: z.string(), message: z.string() }).optional(),
    createdAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    finishedAt: z.iso.datetime().nullable(),
    expiresAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'When the file goes where it is not started; null once it was imported.' }),
  })
  .meta({ id: 'Import' });
export type ImportJob = z.output<typeof importJob>;
export const importPage = page(importJob);
export const importQuery = z.object({ ...pageQuery, status: importStatus.optional() });
