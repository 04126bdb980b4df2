import type { ExportFormat, TimeEntryStatus, WeekStart } from '@worktide/schemas';
import type { AuditFilter } from '../audit/list.ts';

/** Whose rows: one person's, a team's members', or everybody's. */
export type Whose = { userId: string } | { teamId: string } | { all: true };

/** Local days, both of which belong to it. */
interface Days {
  from: string;
  to: string;
  /** Whose days; each person's own where there is none. */
  timezone?: string | undefined;
}

/** [since, until), epoch ms. */
interface Instants {
  since: number;
  until: number;
}

/**
 * What an export is of, with all that the request left open decided: who is meant by "me", and which zone. It is stored
 * with the job, so that whoever does it asks nobody what its maker may see.
 */
export type Asked =
  | ({ report: 'daily'; whose: Whose } & Days)
  | { report: 'apps' | 'domains'; userId: string; date: string; timezone: string }
  | ({ report: 'team'; whose: Whose; projectId?: string | undefined } & Days)
  | ({ report: 'timesheet'; whose: Whose; weekStart?: WeekStart | undefined } & Days)
  | ({
      report: 'time-entries';
      whose: Whose;
      projectId?: string | undefined;
      status?: TimeEntryStatus | undefined;
    } & Instants)
  | ({ report: 'usage'; whose: Whose; deviceId?: string | undefined } & Instants)
  | ({ report: 'audit' } & Omit<AuditFilter, 'organizationId'>);

const dayOf = (instant: number): string => new Date(instant).toISOString().slice(0, 10);

/** What the file is called: by what is in it, so that people find it again among others. */
export function fileNameOf(asked: Asked, format: ExportFormat): string {
  const span = (from?: string, to?: string): string[] =>
    (from === to ? [from] : [from, to]).filter((day) => day !== undefined);
  const days = (): string[] => {
    if ('date' in asked) return [asked.date];
    if ('since' in asked) return span(dayOf(asked.since), dayOf(Math.max(asked.since, asked.until - 1)));
    if (asked.report !== 'audit') return span(asked.from, asked.to);
    return span(
      asked.from === undefined ? undefined : dayOf(asked.from),
      asked.to === undefined ? undefined : dayOf(asked.to),
    );
  };
  return `${[asked.report, ...days()].join('_')}.${format}`;
}
