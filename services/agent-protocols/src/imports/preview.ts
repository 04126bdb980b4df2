import { askInternal, type Internal } from '@worktide/identity';
import {
  foundPeople,
  foundProjectNames,
  type ImportPerson,
  type ImportPreview,
  maxAskedAddresses,
  maxAskedObjects,
} from '@worktide/schemas';
import { personUnknown, planProblem } from './bring.ts';
import { type Judged, noPlan, ofPlan, type Plan, planBounds } from './items.ts';
import { createProblems } from './problems.ts';
import type { Buckets } from './read/activitywatch.ts';
import { type FileDependencies, findDateOrder, judgeRows, openFile } from './read-file.ts';
import type { ImportRow } from './store.ts';

export interface PreviewDependencies extends FileDependencies {
  auth: Internal;
  /** Without it no project is known. */
  workspace: Internal | undefined;
}

/** Of people, projects and devices, as many as these are shown. */
const maxShown = 200;

/** Usable rows, and the time that they are of. */
interface Usable {
  usable: number;
  from: number;
  to: number;
}

interface Person extends Usable {
  name: string;
  email: string;
  rows: number;
}

/** What of a file is counted while it is read. */
interface Tally {
  rows: number;
  /** Of rows that are whoever's who imports. */
  own: Usable;
  people: Map<string, Person>;
  /** Rows of people beyond those that are told apart. */
  others: number;
  projects: Map<string, number>;
  devices: Map<string, number>;
}

const none = (): Usable => ({ usable: 0, from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY });
const newTally = (): Tally => ({
  rows: 0,
  own: none(),
  people: new Map(),
  others: 0,
  projects: new Map(),
  devices: new Map(),
});

function widen(one: Usable, { usable, from, to }: Usable): void {
  one.usable += usable;
  one.from = Math.min(one.from, from);
  one.to = Math.max(one.to, to);
}

function count(map: Map<string, number>, name: string, most: number): void {
  const rows = map.get(name);
  if (rows !== undefined || map.size < most) map.set(name, (rows ?? 0) + 1);
}

/**
 * Looks at all of a file and imports none of it: how many rows, of whom, of when, and what is wrong with which.
 * @param onBytes told of what was read of the file.
 * @throws AppError 400 where nothing of it can be imported; 503.
 */
export async function previewFile(
  deps: PreviewDependencies,
  row: ImportRow,
  { onBytes, signal }: { onBytes: (count: number) => void; signal: AbortSignal },
): Promise<{ preview: ImportPreview; plan: Plan }> {
  const open = () => openFile(deps.store, row, onBytes, signal);
  const plan = noPlan();
  const isOfEntries = row.kind === 'toggl' || row.kind === 'clockify';
  if (isOfEntries) plan.dateOrder = row.dateOrder ?? (await findDateOrder(await open()));

  const buckets: Buckets = new Map();
  let tally = newTally();
  let problems = createProblems();
  await look();
  // Events stood before what their bucket is: now that is known.
  if (problems.list.some(({ code }) => code === 'UNKNOWN_BUCKET')) {
    tally = newTally();
    problems = createProblems();
    await look();
  }

  async function look(): Promise<void> {
    for await (const judged of await judgeRows(deps, row, await open(), { plan, from: 0, buckets })) {
      signal.throwIfAborted();
      for (const one of judged) add(one);
    }
  }

  function add(one: Judged): void {
    const { item, person } = one;
    tally.rows++;
    let whose = tally.own;
    if (person) {
      let known = tally.people.get(person.key);
      if (!known && tally.people.size < planBounds.people) {
        known = { ...person, rows: 0, ...none() };
        tally.people.set(person.key, known);
      }
      if (!known) {
        tally.others++;
        return;
      }
      known.rows++;
      whose = known;
    }
    if (item?.type === 'seen') {
      const { size } = tally.devices;
      count(tally.devices, item.device, planBounds.devices);
      if (tally.devices.size > size) plan.devices = [...tally.devices.keys()];
    }
    if (item?.type === 'entry' && item.project) count(tally.projects, item.project, planBounds.projects);
    // Who is whom is not known yet: that is judged below.
    const problem = one.problem ?? (item?.type === 'seen' ? planProblem(one, plan) : undefined);
    if (problem) problems.add(problem, one.row);
    else if (item) widen(whose, { usable: 1, from: item.from, to: item.to });
  }

  const people = isOfEntries ? await matchPeople(deps, row, tally.people, plan) : undefined;
  const all = none();
  widen(all, tally.own);
  let lost = tally.others;
  for (const [key, person] of tally.people) {
    if (Object.hasOwn(plan.people, key)) widen(all, person);
    else lost += person.usable;
  }
  if (lost > 0) problems.add(personUnknown, undefined, lost);
  await matchProjects(deps, row, [...tally.projects.keys()], plan);
  plan.rows = tally.rows;
  plan.buckets = Object.fromEntries(
    [...buckets].map(([id, { type = '', client = '', hostname = '' }]) => [id, { type, client, hostname }]),
  );
  const isEmpty = all.usable === 0;
  const own = await deps.identity.findUser(row.organizationId, row.userId);
  return {
    plan,
    preview: {
      rows: tally.rows,
      usable: all.usable,
      from: isEmpty ? null : new Date(all.from).toISOString(),
      to: isEmpty ? null : new Date(all.to).toISOString(),
      timezone: isOfEntries ? row.timezone : null,
      people: people ?? [{ name: own?.name ?? null, email: null, userId: row.userId, rows: tally.rows }],
      projects: [...tally.projects]
        .sort(([, a], [, b]) => b - a)
        .slice(0, maxShown)
        .map(([name, rows]) => ({ name, projectId: ofPlan(plan.projects, name), rows })),
      devices: [...tally.devices].map(([name, rows]) => ({ name, rows })),
      problems: problems.list,
    },
  };
}

/**
 * Whose rows they are. For an administrator everybody's of the organisation, by address. For anybody else their own: by address too,
 * or all of a file that is of one person, whatever they are called there.
 */
async function matchPeople(
  { auth }: PreviewDependencies,
  { organizationId, userId, forOthers }: ImportRow,
  people: ReadonlyMap<string, Person>,
  plan: Plan,
): Promise<ImportPerson[]> {
  const emails = [...people.values()].flatMap(({ email }) => (email === '' ? [] : [email]));
  const found = new Map<string, string>();
  for (let from = 0; from < emails.length; from += maxAskedAddresses) {
    const some = emails.slice(from, from + maxAskedAddresses);
    const answer = await askInternal(auth, foundPeople, '/internal/users/by-address', { organizationId, emails: some });
    for (const { email, id } of answer.people) found.set(email, id);
  }
  for (const [key, { email }] of people) {
    const matched = found.get(email);
    if (matched !== undefined && (forOthers || matched === userId)) plan.people[key] = matched;
  }
  const [[only] = []] = [[...people.keys()]];
  const isOnes = people.size === 1 && (!forOthers || people.get(only!)!.email === '');
  if (isOnes) plan.people[only!] = userId;
  return [...people].slice(0, maxShown).map(([key, { name, email, rows }]) => ({
    name: name || null,
    email: email || null,
    userId: ofPlan(plan.people, key),
    rows,
  }));
}

async function matchProjects(
  { workspace }: PreviewDependencies,
  { organizationId }: ImportRow,
  names: readonly string[],
  plan: Plan,
): Promise<void> {
  if (!workspace) return;
  for (let from = 0; from < names.length; from += maxAskedObjects) {
    const some = names.slice(from, from + maxAskedObjects);
    const answer = await askInternal(workspace, foundProjectNames, '/internal/workspace/project-names', {
      organizationId,
      names: some,
    });
    for (const { name, id } of answer.projects) plan.projects[name] = id;
  }
}
