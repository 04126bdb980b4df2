import type { Identity, Leads } from '@worktide/identity';
import { type Caller, forbidden, invalid } from '@worktide/runtime';
import type { ExportRequest } from '@worktide/schemas';
import { boundsOf } from '../audit/routes.ts';
import { checkRange, requireLead } from '../reports/routes.ts';
import { refused, subjectOf } from '../reports/subject.ts';
import type { Asked, Whose } from './asked.ts';

export interface RightsDeps {
  findUser: Identity['findUser'];
  leads: Leads;
  /** For the first day of its weeks. */
  organization: Identity['organization'];
}

/** What the clocks and stores know. */
const lastInstant = Date.UTC(2199, 11, 31);
const within = (instant: number): number => Math.min(Math.max(instant, 0), lastInstant);

/**
 * What a request is for, with everything decided that it left open.
 * @throws as the report itself: 403 and 404 for people whom the caller may not read, 400 for a range, 503.
 */
export async function resolveExport(caller: Caller, body: ExportRequest, deps: RightsDeps): Promise<Asked> {
  switch (body.report) {
    case 'daily': {
      const days = daysOf(body);
      return { report: 'daily', ...days, ...(await whoseDays(caller, body, deps)) };
    }
    case 'apps':
    case 'domains': {
      const { from: date } = daysOf(body);
      const { userId, timezone } = await subjectOf(caller, body, deps.findUser, deps.leads);
      return { report: body.report, userId, timezone, date };
    }
    case 'team': {
      const days = daysOf(body);
      const { timezone, projectId, teamId } = body;
      const whose: Whose = teamId === undefined ? { all: true } : { teamId };
      await requireRights(caller, whose, deps);
      return { report: 'team', whose, projectId, timezone, ...days };
    }
    case 'timesheet': {
      const days = daysOf(body);
      const whose = await whoseDays(caller, body, deps);
      if (body.group === 'day') return { report: 'timesheet', ...days, ...whose };
      const settings = (await deps.organization(caller.organizationId))?.settings;
      return { report: 'timesheet', ...days, ...whose, weekStart: settings?.weekStart ?? 'monday' };
    }
    case 'time-entries': {
      const { projectId, status } = body;
      return { report: 'time-entries', ...(await whoseInstants(caller, body, deps)), projectId, status };
    }
    case 'usage':
      return { report: 'usage', ...(await whoseInstants(caller, body, deps)), deviceId: body.deviceId };
    case 'audit': {
      const { report, format: _, from, to, ...filter } = body;
      if (caller.role !== 'admin') throw forbidden();
      const [first, last] = [boundsOf(from, caller.timezone).first, boundsOf(to, caller.timezone).last];
      if ((first ?? 0) > (last ?? Number.POSITIVE_INFINITY)) throw reversed();
      return { report, ...filter, from: first && within(first), to: last && within(last) };
    }
  }
}

/**
 * Whether who made an export may still read what is in it: roles and teams change while a file lies there.
 * Rejects 503 where that cannot be told.
 */
export async function mayStillRead(caller: Caller, asked: Asked, deps: RightsDeps): Promise<boolean> {
  try {
    if (asked.report === 'audit') return caller.role === 'admin';
    await requireRights(caller, 'whose' in asked ? asked.whose : { userId: asked.userId }, deps);
    return true;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 403) return false;
    // Somebody who is no longer there: their time is, and who may read everybody may read it.
    if ((error as { statusCode?: number }).statusCode === 404) return caller.role !== 'employee';
    throw error;
  }
}

/** @throws 403, 404, 503. */
async function requireRights(caller: Caller, whose: Whose, { findUser, leads }: RightsDeps): Promise<void> {
  if ('userId' in whose) await subjectOf(caller, whose, findUser, leads);
  else if ('teamId' in whose) {
    if (caller.role === 'employee') await requireLead(leads, caller, whose.teamId);
  } else if (caller.role === 'employee') throw refused();
}

interface WhoseAsked {
  userId?: string | undefined;
  people?: 'all' | undefined;
  teamId?: string | undefined;
  timezone?: string | undefined;
}

async function whoseOf(caller: Caller, asked: WhoseAsked, deps: RightsDeps): Promise<Whose> {
  const { userId = caller.userId, people, teamId } = asked;
  const whose: Whose = people === 'all' ? { all: true } : teamId === undefined ? { userId } : { teamId };
  await requireRights(caller, whose, deps);
  return whose;
}

/** For days: of one person the zone is decided now, of many it is each one's own. */
async function whoseDays(caller: Caller, asked: WhoseAsked, deps: RightsDeps) {
  const whose = await whoseOf(caller, asked, deps);
  if (!('userId' in whose)) return { whose, timezone: asked.timezone };
  const { timezone } = await subjectOf(caller, { ...whose, timezone: asked.timezone }, deps.findUser, deps.leads);
  return { whose, timezone };
}

async function whoseInstants(caller: Caller, asked: WhoseAsked & { from: string; to: string }, deps: RightsDeps) {
  const [since, until] = [within(Date.parse(asked.from)), within(Date.parse(asked.to))];
  if (!(since < until)) throw reversed();
  return { whose: await whoseOf(caller, asked, deps), since, until };
}

const daysOf = ({
  from,
  to,
  date,
}: {
  from?: string | undefined;
  to?: string | undefined;
  date?: string | undefined;
}) => checkRange({ from: (date ?? from)!, to: (date ?? to)! });

const reversed = () => invalid('RANGE_REVERSED', 'The range ends before it begins.');
