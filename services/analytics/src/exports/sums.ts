import { periodsOf } from '../reports/periods.ts';
import type { Member, Reports } from '../reports/reports.ts';
import { nothing, type Sums, shown } from '../reports/sums.ts';
import type { Asked, Whose } from './asked.ts';
import type { Row } from './columns.ts';

export interface SumsDeps {
  reports: Reports;
  organizationId: string;
  /** Until when what runs has run. */
  now: number;
  signal: AbortSignal;
  /** Takes rows, and how much of all is done then. */
  add(rows: readonly Row[], done: number): Promise<void>;
}

/** People whose days one question asks for. */
const peopleAtOnce = 200;
/** All apps of a day: a person does not use as many. */
const allItems = 1_000_000;

/** Who is in an export of days; of one person nobody asks whether they are active. */
async function membersOf(
  { reports, organizationId, signal }: SumsDeps,
  of: { whose: Whose; from: string; to: string; timezone?: string | undefined },
  ever: boolean,
): Promise<(Omit<Member, 'name'> & { name: string | null })[]> {
  const { whose, from, to, timezone } = of;
  if ('userId' in whose) {
    const names = await reports.names('people', organizationId, [whose.userId], signal);
    // The zone of one person is decided when the export is asked for.
    return [{ id: whose.userId, name: names.get(whose.userId) ?? null, timezone: timezone! }];
  }
  const teamId = 'teamId' in whose ? whose.teamId : undefined;
  const members = await reports.members({ organizationId, from, to, teamId, ever }, signal);
  return timezone === undefined ? members : members.map((member) => ({ ...member, timezone }));
}

/** Some people at a time, with what a question for each of their zones gives for them. */
async function forPeople<T extends { userId: string }>(
  deps: SumsDeps,
  members: Awaited<ReturnType<typeof membersOf>>,
  ask: (userIds: string[], timezone: string) => Promise<T[]>,
  rowsOf: (found: Map<string, T[]>, some: typeof members) => Promise<Row[]> | Row[],
): Promise<void> {
  for (let i = 0; i < members.length; i += peopleAtOnce) {
    const some = members.slice(i, i + peopleAtOnce);
    const found = new Map<string, T[]>(some.map(({ id }) => [id, []]));
    for (const zone of new Set(some.map(({ timezone }) => timezone))) {
      const ids = some.filter(({ timezone }) => timezone === zone).map(({ id }) => id);
      for (const one of await ask(ids, zone)) found.get(one.userId)!.push(one);
    }
    await deps.add(await rowsOf(found, some), (i + some.length) / members.length);
  }
}

/** Every day of the range of each person, as `/reports/daily` has them. */
export async function writeDaily(deps: SumsDeps, asked: Asked & { report: 'daily' }): Promise<void> {
  const { reports, organizationId, signal } = deps;
  const { from, to } = asked;
  const { periods } = periodsOf({ from, to });
  await forPeople(
    deps,
    await membersOf(deps, asked, false),
    (userIds, timezone) => reports.userDays({ organizationId, userIds, timezone }, { from, to }, signal),
    (found, some) =>
      some.flatMap(({ id, name }) => {
        const byDate = new Map<string, Sums>(found.get(id)!.map((day) => [day.date, day]));
        return periods.map(({ date }): Row => {
          const day = shown(byDate.get(date) ?? nothing);
          const { workSeconds, activeSeconds, idleSeconds, productivityScore, keyboardClicks, mouseMovements } = day;
          const time = [workSeconds, activeSeconds, idleSeconds, productivityScore, keyboardClicks, mouseMovements];
          return [id, name, date, ...time];
        });
      }),
  );
}

/** What each person tracked of each project by day or week, as the cells of `/reports/timesheet` that are not 0. */
export async function writeTimesheet(deps: SumsDeps, asked: Asked & { report: 'timesheet' }): Promise<void> {
  const { reports, organizationId, now, signal } = deps;
  const { range, periods, periodOf } = periodsOf(asked);
  const until = new Map(periods.map((period) => [period.date, period.until ?? period.date]));
  await forPeople(
    deps,
    await membersOf(deps, { ...asked, ...range }, true),
    (userIds, timezone) => reports.trackedDays({ organizationId, userIds, timezone }, range, now, signal),
    async (found, some) => {
      const ids = [...found.values()].flatMap((days) => days.map(({ projectId }) => projectId));
      const names = await reports.names('projects', organizationId, ids, signal);
      return some.flatMap(({ id, name }) => {
        const cells = new Map<string, { date: string; projectId: string | null; seconds: number }>();
        for (const { date, projectId, seconds } of found.get(id)!) {
          const period = periodOf(date);
          const key = `${period} ${projectId}`;
          const cell = cells.get(key) ?? { date: period, projectId, seconds: 0 };
          cell.seconds += seconds;
          cells.set(key, cell);
        }
        return [...cells.values()]
          .filter(({ seconds }) => seconds > 0)
          .map(({ date, projectId, seconds }): Row => {
            return [id, name, date, until.get(date), projectId, names.get(projectId) ?? null, seconds];
          })
          .sort((a, b) => inOrder(a[2], b[2]) || inOrder(a[5], b[5]) || inOrder(a[4], b[4]));
      });
    },
  );
}

/** Nothing before something. */
function inOrder(a: unknown, b: unknown): number {
  const [x, y] = [String(a ?? ''), String(b ?? '')];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** A row for each person, as `/reports/team` has them. */
export async function writeTeam(deps: SumsDeps, asked: Asked & { report: 'team' }): Promise<void> {
  const { reports, organizationId, signal, add } = deps;
  const { from, to, timezone, projectId, whose } = asked;
  const query = { organizationId, from, to, projectId, teamId: 'teamId' in whose ? whose.teamId : undefined };
  const all = (await reports.members(query, signal)).length;
  let done = 0;
  let after: string | undefined;
  do {
    const page = await reports.team({ ...query, timezone, limit: peopleAtOnce, after }, signal);
    const rows = page.items.map((item): Row => {
      const { userId, name, workSeconds, activeSeconds, idleSeconds, trackedSeconds, productivityScore } = item;
      return [userId, name, workSeconds, activeSeconds, idleSeconds, trackedSeconds, productivityScore];
    });
    done += rows.length;
    await add(rows, done / Math.max(all, done, 1));
    after = page.next ?? undefined;
  } while (after !== undefined);
}

/** All apps, or hosts, of a day, as `/reports/apps` and `/reports/domains` have the longest. */
export async function writeParts(deps: SumsDeps, asked: Asked & { report: 'apps' | 'domains' }): Promise<void> {
  const { reports, organizationId, signal, add } = deps;
  const { userId, date, timezone } = asked;
  const subject = { organizationId, userId, timezone };
  const names = await reports.names('people', organizationId, [userId], signal);
  const person = [userId, names.get(userId) ?? null, date];
  const items =
    asked.report === 'apps'
      ? (await reports.apps(subject, date, signal, allItems)).items.map(({ app, seconds }) => [app, seconds])
      : (await reports.domains(subject, date, signal, allItems)).items.map(({ host, seconds }) => [host, seconds]);
  await add(
    items.map((item) => [...person, ...item]),
    1,
  );
}
