import type { Readable } from 'node:stream';
import { checkSyncEntry, type DateOrder, isSyncProblem, timeEntryBounds } from '@worktide/schemas';
import { contentOf, type EntryItem, type Judged, judged, kept, type Problem } from '../items.ts';
import { type CsvRow, readCsv } from './csv.ts';
import { readClock, readDate, readLength, spanOf } from './local-times.ts';
import { olderThanKept } from './seen.ts';

export interface EntriesContext {
  nowMs: number;
  /** What ended before that, epoch ms, the organisation does not keep; undefined where it keeps all. */
  keptFromMs: number | undefined;
  /** Of the times in the file. */
  timezone: string;
  dateOrder: DateOrder;
}

const columns = {
  startDate: ['start date'],
  startTime: ['start time'],
  endDate: ['end date', 'stop date'],
  endTime: ['end time', 'stop time'],
  length: ['duration', 'duration (h)'],
  person: ['user', 'member'],
  email: ['email'],
  project: ['project'],
  task: ['task'],
  description: ['description'],
  tags: ['tags'],
  billable: ['billable'],
} as const;

/** What every detailed report of Toggl and Clockify has. */
const required = [columns.startDate, columns.startTime, columns.length];

const dayMs = 86_400_000;

/** All texts of the file that are to be dates, with their rows. @throws as `readCsv`. */
export async function* readDates(file: Readable): AsyncGenerator<{ row: number; dates: string[] }[]> {
  for await (const rows of readCsv(file, required)) {
    yield rows.map((one) => ({ row: one.row, dates: [one.get(...columns.startDate), one.get(...columns.endDate)] }));
  }
}

/**
 * Entries of a detailed report of Toggl or Clockify, row by row, some at a time. They differ in how dates are written.
 * @param from rows up to this one are passed over.
 * @throws AppError 400 `MALFORMED_CSV`, `NOT_THIS_KIND`, `EMPTY_FILE`.
 */
export async function* readEntries(
  file: Readable,
  context: EntriesContext,
  { from }: { from: number },
): AsyncGenerator<Judged[]> {
  for await (const rows of readCsv(file, required)) {
    yield rows.filter(({ row }) => row > from).map((row) => judged(row.row, () => judge(row, context)));
  }
}

const problem = (code: string, message: string): { problem: Problem } => ({ problem: { code, message } });

function judge(row: CsvRow, context: EntriesContext): Omit<Judged, 'row'> {
  const email = kept(row.get(...columns.email), 320);
  const name = kept(row.get(...columns.person), 200);
  const person = { key: (email || name).toLowerCase(), name, email };
  const found = readTimes(row, context);
  const of = { person };
  if ('problem' in found) return { ...of, ...found };
  const { start, end } = found;
  if (context.keptFromMs !== undefined && end < context.keptFromMs) return { ...of, problem: olderThanKept };
  const description = kept(row.get(...columns.description), timeEntryBounds.description);
  const project = kept(row.get(...columns.project), 500);
  const task = kept(row.get(...columns.task), timeEntryBounds.tag);
  const tags = [...row.get(...columns.tags).split(','), task]
    .flatMap((text) => tagOf(text))
    .slice(0, timeEntryBounds.tags);
  const billable = /^(yes|true|y|1)$/i.test(row.get(...columns.billable));
  const checked = checkSyncEntry(
    {
      idempotencyKey: 'import',
      startTime: new Date(start).toISOString(),
      endTime: new Date(end).toISOString(),
      status: 'STOPPED',
      timezone: context.timezone,
      description: description || null,
      tags,
      billable,
    },
    row.row,
    { nowMs: context.nowMs, timezone: context.timezone },
  );
  if (isSyncProblem(checked)) return { ...of, problem: { code: checked.code, message: checked.message } };
  const { index: _, idempotencyKey: __, projectId: ___, ...entry } = checked;
  const item: EntryItem = {
    type: 'entry',
    person: person.key,
    stream: 'entries',
    content: contentOf(start, end, description, project, task, tags.join(','), billable),
    at: start,
    from: start,
    to: end,
    project,
    entry,
  };
  return { ...of, item };
}

/** A tag as the writer takes it; none where nothing is left of it. */
export function tagOf(text: string): string[] {
  const tag = kept(text.normalize('NFC').replace(/\p{Cc}/gu, ' '), timeEntryBounds.tag).trim();
  return tag === '' ? [] : [tag];
}

function readTimes(
  row: CsvRow,
  { dateOrder, timezone }: EntriesContext,
): { start: number; end: number } | { problem: Problem } {
  const at = (date: readonly string[], time: readonly string[]): number | undefined => {
    const day = readDate(row.get(...date))[dateOrder];
    const clock = readClock(row.get(...time));
    return day === undefined || clock === undefined ? undefined : day * dayMs + clock;
  };
  const start = at(columns.startDate, columns.startTime);
  if (start === undefined) return problem('INVALID_TIME', 'It has no such start.');
  const hasEnd = row.get(...columns.endDate) !== '' || row.get(...columns.endTime) !== '';
  const end = at(columns.endDate, columns.endTime);
  if (hasEnd && end === undefined) return problem('INVALID_TIME', 'It has no such end.');
  const span = spanOf({ start, end, lengthMs: readLength(row.get(...columns.length)) }, timezone);
  if (!span) return problem('INVALID_TIME', 'It has neither an end nor a length.');
  return span.start < 0 ? problem('INVALID_TIME', 'It is of before 1970.') : span;
}
