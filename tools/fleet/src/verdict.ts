import type { FleetResult } from './fleet.ts';
import { type Latency, sumOf } from './progress.ts';
import type { ShotResult } from './screenshots/run.ts';
import type { TimeResult } from './timers/run.ts';
import type { WatchResult } from './watchers/run.ts';

const usersShown = 10;
const complaintsShown = 20;

const grouped = (n: number): string => n.toLocaleString('en-US');
const counts = (map: ReadonlyMap<string, number>): string =>
  [...map].map(([name, n]) => `${name} ${grouped(n)}`).join(', ');

const withCounts = (map: ReadonlyMap<string, number>): string =>
  `${grouped(sumOf(map))}${map.size > 0 ? ` (${counts(map)})` : ''}`;

function screenshotRows({ stats, acknowledged, unknown, verification }: ShotResult): [string, string][] {
  const megabytes = `${(stats.bytes / 1e6).toFixed(1)} MB`;
  return [
    ['screenshots sent', `${grouped(stats.requests)} (${megabytes}, ${grouped(stats.again)} once more)`],
    ['screenshots acknowledged', grouped(acknowledged)],
    ['screenshots refused', withCounts(stats.refused)],
    ['screenshots retried', withCounts(stats.retried)],
    ['screenshots of unknown fate', grouped(unknown)],
    [
      'screenshots ready and right',
      `${grouped(verification.ready)} (at levels 0 to 3: ${verification.levels.join(', ')})`,
    ],
    ['screenshots failed as they must', grouped(verification.failed)],
    ['looking at them took', `${verification.tookSeconds.toFixed(1)} s`],
  ];
}

const timeRows = ({ stats, unknown, verification }: TimeResult): [string, string][] => [
  ['requests about time', grouped(stats.requests)],
  ['those retried', withCounts(stats.retried)],
  ['those never answered', grouped(unknown)],
  ['time entries expected', grouped(verification.entries)],
  ['days of overtime', grouped(verification.longDays)],
  ['comparing them took', `${verification.tookSeconds.toFixed(1)} s`],
];

const watchRows = ({
  watchers,
  events,
  reconnected,
  recovered,
  compared,
  tookSeconds,
}: WatchResult): [string, string][] => [
  ['watchers', grouped(watchers)],
  ['events told', grouped(events)],
  ['connected again', `${grouped(reconnected)} (${grouped(recovered)} with what they missed)`],
  ['told states compared with lists', grouped(compared)],
  ['comparing what was told took', `${tookSeconds.toFixed(1)} s`],
];

const waited = (latency: Latency): string =>
  `p50 ${latency.quantile(0.5).toFixed(1)} ms, p99 ${latency.quantile(0.99).toFixed(1)} ms`;

function siegeRows({ outcomes, bystanders, pings }: NonNullable<FleetResult['siege']>): [string, string][] {
  return [
    ...[...outcomes].map(([name, answers]): [string, string] => [`siege: ${name}`, withCounts(answers)]),
    ...[['pings', pings] as const, ...bystanders].flatMap(([name, { calm, besieged }]): [string, string][] => [
      [`${name}, in peace`, waited(calm)],
      [`${name}, besieged`, waited(besieged)],
    ]),
  ];
}

/** The end of a run for people: a table, what is wrong if anything, and the verdict as the last line. */
export function verdictLines(result: FleetResult): string[] {
  const { verification, stats, complaints, unknown } = result;
  const equalUsers = verification.users - verification.differences.length;
  const latency = `p50 ${stats.latency.quantile(0.5).toFixed(1)} ms, p99 ${stats.latency.quantile(0.99).toFixed(1)} ms`;
  const rows: [string, string][] = [
    ['pings sent', grouped(stats.sent)],
    ['pings acknowledged', grouped(stats.acknowledged)],
    ['pings rejected', withCounts(stats.rejected)],
    ['requests', `${grouped(stats.requests)} (${latency})`],
    ['requests retried', withCounts(stats.retried)],
    ['pings of unknown fate', grouped(sumOf(unknown))],
    ['wrong answers', grouped(sumOf(complaints))],
    ['usage entries expected', grouped(verification.entries)],
    ['local days compared', grouped(verification.days)],
    ['users equal', `${grouped(equalUsers)} of ${grouped(verification.users)}`],
    ['comparing took', `${verification.tookSeconds.toFixed(1)} s`],
  ];
  if (result.screenshots) rows.push(...screenshotRows(result.screenshots));
  if (result.times) rows.push(...timeRows(result.times));
  if (result.watched) rows.push(...watchRows(result.watched));
  if (result.siege) rows.push(...siegeRows(result.siege));
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = ['', ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`), ''];

  for (const [what, n] of [...complaints].slice(0, complaintsShown)) lines.push(`  wrong answer, ${n} times: ${what}`);
  for (const user of verification.differences.slice(0, usersShown)) {
    lines.push(`  user ${user.userId} (${user.timezone}): ${grouped(user.count)} differences`);
    for (const difference of user.first) lines.push(`    ${difference}`);
  }
  const more = verification.differences.length - usersShown;
  if (more > 0) lines.push(`  and ${grouped(more)} more users`);
  for (const user of result.screenshots?.verification.differences.slice(0, usersShown) ?? []) {
    lines.push(`  screenshots of user ${user.userId}: ${grouped(user.count)} differences`);
    for (const difference of user.first) lines.push(`    ${difference}`);
  }
  for (const user of result.times?.verification.differences.slice(0, usersShown) ?? []) {
    lines.push(`  time of user ${user.userId}: ${grouped(user.count)} differences`);
    for (const difference of user.first) lines.push(`    ${difference}`);
  }
  for (const user of result.watched?.differences.slice(0, usersShown) ?? []) {
    lines.push(`  told of user ${user.userId}: ${grouped(user.count)} differences`);
    for (const difference of user.first) lines.push(`    ${difference}`);
  }
  for (const [userId, n] of [...unknown].slice(0, usersShown)) {
    lines.push(`  user ${userId}: ${grouped(n)} pings were sent and never answered for good`);
  }
  if (!result.equal) lines.push(`  again with --seed ${result.seed} --now ${new Date(result.now).toISOString()}`);
  lines.push(result.equal ? 'verdict: equal' : 'verdict: DIFFERENT');
  return lines;
}

/** The same for programs. */
export function summaryOf(result: FleetResult): object {
  const { stats, verification } = result;
  return {
    verdict: result.equal ? 'equal' : 'different',
    seed: result.seed,
    runId: result.runId,
    now: new Date(result.now).toISOString(),
    pings: {
      sent: stats.sent,
      acknowledged: stats.acknowledged,
      rejected: Object.fromEntries(stats.rejected),
      unknown: sumOf(result.unknown),
    },
    requests: {
      sent: stats.requests,
      retried: Object.fromEntries(stats.retried),
      p50Ms: stats.latency.quantile(0.5),
      p99Ms: stats.latency.quantile(0.99),
    },
    wrongAnswers: Object.fromEntries(result.complaints),
    verification,
    ...(result.screenshots ? { screenshots: screenshotSummary(result.screenshots) } : {}),
    ...(result.times ? { times: timeSummary(result.times) } : {}),
    ...(result.watched ? { watched: result.watched } : {}),
    ...(result.siege ? { siege: siegeSummary(result.siege) } : {}),
  };
}

const screenshotSummary = ({ stats, acknowledged, unknown, verification }: ShotResult): object => ({
  sent: stats.requests,
  bytes: stats.bytes,
  again: stats.again,
  acknowledged,
  refused: Object.fromEntries(stats.refused),
  retried: Object.fromEntries(stats.retried),
  unknown,
  verification,
});

const timeSummary = ({ stats, unknown, verification }: TimeResult): object => ({
  requests: stats.requests,
  retried: Object.fromEntries(stats.retried),
  unknown,
  verification,
});

function siegeSummary({ outcomes, bystanders, pings }: NonNullable<FleetResult['siege']>): object {
  const of = (latency: Latency): object => ({ p50Ms: latency.quantile(0.5), p99Ms: latency.quantile(0.99) });
  const waits = [['pings', pings] as const, ...bystanders];
  return {
    answers: Object.fromEntries([...outcomes].map(([name, answers]) => [name, Object.fromEntries(answers)])),
    waits: Object.fromEntries(
      waits.map(([name, { calm, besieged }]) => [name, { calm: of(calm), besieged: of(besieged) }]),
    ),
  };
}
