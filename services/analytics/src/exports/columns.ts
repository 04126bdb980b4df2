import type { ExportReport } from '@worktide/schemas';

/**
 * What a column holds, and so how each format writes it. As values: `text` a string, `date` a calendar day as text, `instant`
 * epoch milliseconds, `seconds` and `count` whole numbers, `score` a number, `flag` a boolean, `list` strings, `fields` the
 * text of a JSON object. Any of them may be null.
 */
export type ColumnType = 'text' | 'date' | 'instant' | 'seconds' | 'count' | 'score' | 'flag' | 'list' | 'fields';

export interface Column {
  /** As the field is called in the report. */
  name: string;
  type: ColumnType;
}

/** A row of an export: a value for each column. */
export type Row = unknown[];

const text = (...names: string[]): Column[] => names.map((name) => ({ name, type: 'text' }));
const column = (type: ColumnType, ...names: string[]): Column[] => names.map((name) => ({ name, type }));

const person = text('userId', 'name');
const time = column('seconds', 'workSeconds', 'activeSeconds', 'idleSeconds');
const score = column('score', 'productivityScore');

/** The columns of each export, which are the same in every format. */
export const columnsOf: Record<ExportReport, readonly Column[]> = {
  daily: [
    ...person,
    ...column('date', 'date'),
    ...time,
    ...score,
    ...column('count', 'keyboardClicks', 'mouseMovements'),
  ],
  apps: [...person, ...column('date', 'date'), ...text('app'), ...column('seconds', 'seconds')],
  domains: [...person, ...column('date', 'date'), ...text('host'), ...column('seconds', 'seconds')],
  team: [...person, ...time, ...column('seconds', 'trackedSeconds'), ...score],
  timesheet: [
    ...person,
    ...column('date', 'date', 'until'),
    ...text('projectId', 'project'),
    ...column('seconds', 'trackedSeconds'),
  ],
  'time-entries': [
    ...text('id'),
    ...person,
    ...text('kind', 'status', 'projectId', 'project', 'taskId', 'task', 'description'),
    ...column('list', 'tags'),
    ...column('flag', 'billable'),
    ...column('instant', 'startTime', 'endTime'),
    ...text('timezone'),
    ...column('seconds', 'workedSeconds', 'activeSeconds', 'idleSeconds', 'untrackedSeconds'),
    ...column('instant', 'createdAt', 'updatedAt'),
  ],
  usage: [
    ...text('id'),
    ...person,
    ...text('deviceId', 'source', 'app', 'host', 'state'),
    ...column('instant', 'startedAt', 'endedAt'),
    ...column('seconds', 'seconds'),
  ],
  audit: [
    ...text('id'),
    ...column('instant', 'at'),
    ...text('action', 'actorType', 'actorId', 'actor', 'entityType', 'entityId'),
    ...column('fields', 'before', 'after'),
    ...text('ipAddress', 'userAgent', 'requestId', 'sessionId', 'service'),
  ],
};
