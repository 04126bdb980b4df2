import type { ExpectedEntry } from '../oracle/ledger.ts';
import type { DayReport } from '../oracle/reports.ts';
import type { DailyItem, ShareReport, TimeSums, UsageItem } from './read.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** An entry as one line; two entries are the same when their lines are. */
const lineOf = (e: Omit<UsageItem, 'id' | 'userId' | 'seconds'>): string =>
  [e.deviceId, e.source, e.app, e.host ?? '-', e.state, `${e.startedAt} … ${e.endedAt}`].join(' | ');

/** @returns one sentence per difference, none where the usage is what it must be. */
export function compareUsage(
  expected: readonly ExpectedEntry[],
  actual: readonly UsageItem[],
  userId: string,
): string[] {
  const differences: string[] = [];
  const wanted = new Set(
    expected.map((e) => lineOf({ ...e, ...e.key, startedAt: iso(e.startedAt), endedAt: iso(e.endedAt) })),
  );
  const ids = new Set<string>();
  for (const item of actual) {
    const line = lineOf(item);
    if (ids.has(item.id)) differences.push(`usage: the id ${item.id} comes twice`);
    ids.add(item.id);
    if (item.userId !== userId) differences.push(`usage: an entry of another user (${item.userId}): ${line}`);
    const seconds = Math.round((Date.parse(item.endedAt) - Date.parse(item.startedAt)) / 1000);
    if (item.seconds !== seconds) differences.push(`usage: ${item.seconds} s instead of ${seconds}: ${line}`);
    if (!wanted.delete(line)) differences.push(`usage: must not be there: ${line}`);
  }
  for (const line of wanted) differences.push(`usage: missing: ${line}`);
  return differences;
}

export function compareDaily(expected: readonly DayReport[], actual: readonly DailyItem[]): string[] {
  const differences: string[] = [];
  const byDate = new Map(actual.map((item) => [item.date, item]));
  if (byDate.size !== actual.length) differences.push('daily: a date comes twice');
  // A day without work may be listed or left out.
  const empty = { workSeconds: 0, activeSeconds: 0, idleSeconds: 0, productivityScore: null };
  const fields = ['workSeconds', 'activeSeconds', 'idleSeconds', 'productivityScore'] as const;
  for (const day of expected) {
    const item = byDate.get(day.date) ?? empty;
    for (const field of fields) {
      if (item[field] !== day[field])
        differences.push(`daily ${day.date}: ${field} ${item[field]}, must be ${day[field]}`);
    }
    byDate.delete(day.date);
  }
  for (const { date, workSeconds } of byDate.values()) {
    if (workSeconds !== 0) differences.push(`daily ${date}: workSeconds ${workSeconds}, must be 0`);
  }
  return differences;
}

export function compareShares(
  report: 'apps' | 'domains',
  expected: DayReport,
  actual: ShareReport,
  timezone: string,
): string[] {
  const name = `${report} ${expected.date}`;
  const differences: string[] = [];
  if (actual.date !== expected.date) differences.push(`${name}: date ${actual.date}`);
  if (actual.timezone !== timezone) differences.push(`${name}: timezone ${actual.timezone}, must be ${timezone}`);
  const total = report === 'apps' ? expected.activeSeconds : expected.hostSeconds;
  if (actual.totalSeconds !== total) {
    differences.push(`${name}: totalSeconds ${actual.totalSeconds}, must be ${total}`);
  }
  const left = new Map(report === 'apps' ? expected.apps : expected.hosts);
  let previous = Number.POSITIVE_INFINITY;
  for (const item of actual.items) {
    const member = (report === 'apps' ? item.app : item.host) ?? '(none)';
    if (item.seconds > previous) differences.push(`${name}: ${member} is not in order, longest first`);
    previous = item.seconds;
    const must = left.get(member) ?? 0;
    if (item.seconds !== must) differences.push(`${name}: ${member} ${item.seconds} s, must be ${must}`);
    left.delete(member);
  }
  for (const [member, must] of left) differences.push(`${name}: ${member} is missing, must be ${must} s`);
  return differences;
}

/** An organisation of one person: both reports are that person's days, added up. */
export function compareSums(
  expected: readonly DayReport[],
  { organization, team }: { organization: TimeSums; team: readonly (TimeSums & { userId: string })[] },
  userId: string,
): string[] {
  const differences: string[] = [];
  const mine = team.filter((row) => row.userId === userId);
  if (team.length !== 1 || mine.length !== 1) differences.push(`team: ${team.length} people instead of one`);
  for (const field of ['workSeconds', 'activeSeconds', 'idleSeconds'] as const) {
    const sum = expected.reduce((all, day) => all + day[field], 0);
    if (organization[field] !== sum) differences.push(`organization: ${field} ${organization[field]}, must be ${sum}`);
    if (mine[0] && mine[0][field] !== sum) differences.push(`team: ${field} ${mine[0][field]}, must be ${sum}`);
  }
  return differences;
}
