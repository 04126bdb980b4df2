import type { Project, Screenshot, TimeEntry, User } from '@worktide/schemas';
import * as schemas from '@worktide/schemas';
import { z } from 'zod';

/** What the desktop reads, by the names it reads it by. */

const instantOut = z.iso.datetime();

export const hubnityUser = z
  .object({
    id: schemas.id,
    name: z.string(),
    email: z.string(),
    role: z.enum(['ADMIN', 'EMPLOYEE']),
    status: z.enum(['ACTIVE', 'INACTIVE']),
    avatar: z.null(),
    hourlyRate: z.null(),
    companyId: schemas.id,
    company: z.object({ id: schemas.id, name: z.string() }),
  })
  .meta({ id: 'HubnityUser' });
export const hubnityTokens = z.object({ access_token: z.string(), refresh_token: z.string() });
export const hubnitySignedIn = hubnityTokens.extend({ user: hubnityUser }).meta({ id: 'HubnitySignedIn' });

export const hubnityProject = z
  .object({
    id: schemas.id,
    name: z.string(),
    description: z.string(),
    color: z.string(),
    clientName: z.string(),
    budget: z.number().nullable().meta({ description: 'Hours of work.' }),
    status: z.enum(['ACTIVE', 'ARCHIVED']),
    companyId: schemas.id,
    createdAt: instantOut,
    updatedAt: instantOut,
  })
  .meta({ id: 'HubnityProject' });

export const hubnityEntry = z
  .object({
    id: schemas.id,
    userId: schemas.id,
    projectId: schemas.id.nullable(),
    startTime: instantOut,
    endTime: instantOut.nullable(),
    duration: z.int().meta({ description: 'Seconds, without pauses.' }),
    description: z.string(),
    status: schemas.timeEntryStatus,
    createdAt: instantOut,
    updatedAt: instantOut,
    project: z.object({ id: schemas.id, name: z.string(), color: z.string() }).optional(),
  })
  .meta({ id: 'HubnityTimeEntry' });

export const hubnityScreenshot = z
  .object({
    id: schemas.id,
    timeEntryId: schemas.id,
    userId: schemas.id,
    imageUrl: z.string(),
    thumbnailUrl: z.string(),
    timestamp: instantOut,
    createdAt: instantOut,
  })
  .meta({ id: 'HubnityScreenshot' });

/** What Hubnity shows a project in that has no color. */
const usualColor = '#3b82f6';
/** The desktop shows none of it; a list of thousands stays a list. */
const maxDescription = 500;

/** Managers see what Hubnity's administrators see. */
export const showUser = (
  user: Pick<User, 'id' | 'name' | 'email' | 'role' | 'status'>,
  organization: { id: string; name: string },
): z.output<typeof hubnityUser> => ({
  id: user.id,
  name: user.name,
  email: user.email,
  role: user.role === 'employee' ? 'EMPLOYEE' : 'ADMIN',
  status: user.status === 'active' ? 'ACTIVE' : 'INACTIVE',
  avatar: null,
  hourlyRate: null,
  companyId: organization.id,
  company: { id: organization.id, name: organization.name },
});

export const showProject = (project: Project, organizationId: string): z.output<typeof hubnityProject> => ({
  id: project.id,
  name: project.name,
  description: (project.description ?? '').slice(0, maxDescription).toWellFormed(),
  color: project.color ?? usualColor,
  clientName: project.clientName ?? '',
  budget: project.budgetSeconds === null ? null : project.budgetSeconds / 3_600,
  status: project.status === 'active' ? 'ACTIVE' : 'ARCHIVED',
  companyId: organizationId,
  createdAt: project.createdAt,
  updatedAt: project.updatedAt,
});

/** @param project undefined where it is not known at the moment: the desktop knows it by its id. */
export const showEntry = (entry: TimeEntry, project: Project | undefined): z.output<typeof hubnityEntry> => ({
  id: entry.id,
  userId: entry.userId,
  projectId: entry.projectId,
  startTime: entry.startTime,
  endTime: entry.endTime,
  duration: entry.workedSeconds,
  description: entry.description ?? '',
  status: entry.status,
  createdAt: entry.createdAt,
  updatedAt: entry.updatedAt,
  ...(project ? { project: { id: project.id, name: project.name, color: project.color ?? usualColor } } : {}),
});

/** Only of one that is ready: it has both. */
export const showScreenshot = (shot: Screenshot, timeEntryId: string): z.output<typeof hubnityScreenshot> => ({
  id: shot.id,
  timeEntryId,
  userId: shot.userId,
  imageUrl: shot.url ?? '',
  thumbnailUrl: shot.thumbnailUrl ?? shot.url ?? '',
  timestamp: shot.capturedAt,
  createdAt: shot.capturedAt,
});

/** What the desktop names, as ours: ids that it made up for the time without a connection are nobody's. */
export const isId = (text: string): boolean => schemas.id.safeParse(text).success;
