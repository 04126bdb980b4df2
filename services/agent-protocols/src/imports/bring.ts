import { type Outbox, type Pool, type Queryable, transactionWithEvents } from '@worktide/postgres';
import { derivedUuid } from '@worktide/runtime';
import {
  type Codec,
  type ImportProblem,
  type ImportRecord,
  maxImportedEntries,
  type PingEvent,
  topics,
} from '@worktide/schemas';
import { erasedRanges, rangesOf } from '../store/erased-ranges.ts';
import { insertHeartbeats, keptDays as keptHeartbeatDays, type OwnHeartbeat } from '../wakatime/store.ts';
import { type Claim, named, ours } from './claims.ts';
import { knownContent, nameOf, noteContent, type Place } from './content.ts';
import { deviceIdOf, type EntryItem, type Judged, ofPlan, type Plan, type Problem, type SeenItem } from './items.ts';
import { createProblems } from './problems.ts';
import { tagOf } from './read/entries.ts';

export interface BringDependencies {
  pool: Pool;
  outbox: Outbox;
  /** Of topic `imports`. */
  codec: Codec;
}

/** How far an import is. */
export interface Reached {
  /** Rows of the file that are on their way. */
  position: number;
  /** Parts with time entries. */
  parts: number;
  problems: ImportProblem[];
}

/** It is somebody else's by now, or was taken out. */
export class ClaimLost extends Error {}

const dayMs = 86_400_000;
/** Of one record: the log takes 900 KB, and whoever follows it holds some at once. */
const recordBytes = 200_000;
const pingsOfRecord = 500;

export const personUnknown: Problem = { code: 'PERSON_UNKNOWN', message: 'Nobody here is this person.' };
const tooManyDevices: Problem = { code: 'TOO_MANY_DEVICES', message: 'The file has more devices than one may have.' };
const privateTime: Problem = {
  code: 'TAKEN_BY_PRIVACY',
  message: 'The rules of the organisation do not let it be kept.',
};

/** What can be said against a row by the plan. */
export function planProblem({ item }: Judged, plan: Plan): Problem | undefined {
  if (item?.type === 'entry' && !Object.hasOwn(plan.people, item.person)) return personUnknown;
  if (item?.type === 'seen') {
    if (!plan.devices.includes(item.device)) return tooManyDevices;
    if (item.pings.length === 0 && item.taken.length > 0) return privateTime;
  }
  return undefined;
}

/**
 * Brings some rows of a file: what is new of them goes to the log, and in the same transaction stands how far the import is. So
 * whoever goes on with it, after whatever ended this process, brings each row once.
 * @param position the row up to which these are.
 * @returns how far it is then, and when these are on the log.
 * @throws ClaimLost, 503.
 */
export async function bring(
  deps: BringDependencies,
  claim: Claim,
  { judged, position, plan, before }: { judged: readonly Judged[]; position: number; plan: Plan; before: Reached },
): Promise<{ reached: Reached; published: Promise<void> }> {
  const { organizationId, id: importId } = claim;
  const usable: { row: number; item: SeenItem | EntryItem; userId: string; place: Place }[] = [];
  const problems = createProblems(before.problems);
  let refused = 0;
  for (const one of judged) {
    const problem = one.problem ?? planProblem(one, plan);
    if (problem) {
      problems.add(problem, one.row);
      refused++;
    } else if (one.item) {
      const { item, row } = one;
      const userId = item.type === 'entry' ? plan.people[item.person]! : claim.userId;
      const place = { userId, stream: item.stream, day: Math.floor(item.at / dayMs) };
      usable.push({ row, item, userId, place });
    }
  }
  const people = [...new Set(usable.map(({ userId }) => userId))].sort();
  await deps.codec.prepare();

  const { result, published } = await transactionWithEvents(
    { pool: deps.pool, outbox: deps.outbox, tenant: organizationId, own: true, whenFull: 'refuse' },
    async (client, tell) => {
      // The row first: whoever takes the import out waits for this, or this finds that it was.
      const { rowCount } = await client.query(
        `SELECT FROM agent_protocols.imports WHERE ${ours} FOR UPDATE`,
        named(claim),
      );
      if (rowCount !== 1) throw new ClaimLost('the import is not ours any more');
      for (const userId of people) {
        const lock = `heartbeats ${organizationId} ${userId}`;
        await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lock]);
      }
      const places = new Map(usable.map(({ place }) => [nameOf(place), place]));
      const known = await knownContent(client, organizationId, [...places.values()]);
      const fresh: typeof usable = [];
      for (const one of usable) {
        const name = nameOf(one.place);
        const there = known.get(name) ?? new Set();
        known.set(name, there);
        if (there.has(one.item.content)) continue;
        there.add(one.item.content);
        fresh.push(one);
      }
      const entries = fresh.filter((one): one is typeof one & { item: EntryItem } => one.item.type === 'entry');
      let parts = before.parts;
      const partOf = new Map<bigint, number>();
      const content = new Map<string, Place & { hashes: bigint[]; part: number }>();
      const tellRecord = (userId: string, what: ImportRecord['what']): void => {
        const record = { organizationId, userId, importId, actorId: claim.userId, receivedAt: Date.now(), what };
        tell({ topic: topics.imports.name, key: userId, value: deps.codec.encode(record) });
      };
      for (const [userId, theirs] of Map.groupBy(entries, (one) => one.userId)) {
        for (const some of chunks(theirs, maxImportedEntries, ({ item }) => sizeOfEntry(item))) {
          const part = parts++;
          for (const { item } of some) partOf.set(item.content, part);
          tellRecord(userId, {
            type: 'entries',
            part,
            entries: some.map(({ item, row }) => entryOf(item, row, importId, plan)),
          });
        }
      }
      for (const { item, place } of fresh) {
        const part = item.type === 'entry' ? partOf.get(item.content)! : -1;
        const name = `${part} ${nameOf(place)}`;
        const one = content.get(name) ?? { ...place, hashes: [], part };
        content.set(name, one);
        one.hashes.push(item.content);
      }
      await noteContent(client, { organizationId, importId, position: before.position }, [...content.values()]);
      const seen = fresh.flatMap(({ item }) => (item.type === 'seen' ? [item] : []));
      for (const pings of chunks(
        seen.flatMap(({ pings }) => pings),
        pingsOfRecord,
        sizeOfPing,
      ))
        tellRecord(claim.userId, { type: 'pings', pings });
      await keepHeartbeats(client, claim, seen);

      const reached: Reached = { position, parts, problems: problems.list };
      await client.query(
        `UPDATE agent_protocols.imports
         SET position = $4, added = added + $5, already_there = already_there + $6, refused = refused + $7, parts = $8,
           problems = $9, attempts = 1, postponed = 0 WHERE ${ours}`,
        [
          ...named(claim),
          position,
          // Of entries it is told by their outcomes.
          fresh.length - entries.length,
          usable.length - fresh.length,
          refused,
          parts,
          JSON.stringify(reached.problems),
        ],
      );
      return reached;
    },
  );
  return { reached: result, published };
}

function entryOf({ entry, content, project }: EntryItem, row: number, importId: string, plan: Plan) {
  const projectId = ofPlan(plan.projects, project);
  // What is no project here is kept as a word.
  const tags = projectId === null ? [...new Set([...entry.tags, ...tagOf(project)])].slice(0, 20) : entry.tags;
  return { ...entry, tags, projectId, index: row, idempotencyKey: keyOf(importId, content) };
}

/** Of the import: a key is one entry for ever, and what was taken out may be imported again. */
export const keyOf = (importId: string, content: bigint): string =>
  `import:${importId}:${content.toString(16).padStart(16, '0')}`;

export function contentOfKey(key: string): bigint | undefined {
  const [, hex] = /^import:.{36}:([\da-f]{16})$/.exec(key) ?? [];
  return hex === undefined ? undefined : BigInt(`0x${hex}`);
}

// Bytes of JSON at most, but for escapes, which may take twice as much: a record may have four times of what is packed into one.
const sizeOfPing = ({ app, title = '', url = '' }: PingEvent): number =>
  400 + 3 * (app.length + title.length + url.length);
const sizeOfEntry = ({ entry: { description, tags }, project }: EntryItem): number =>
  600 + 3 * ((description ?? '').length + project.length + tags.reduce((sum, tag) => sum + tag.length, 0));

/** In their order, in as many records as they take. */
function* chunks<T>(all: readonly T[], most: number, sizeOf: (one: T) => number): Generator<T[]> {
  let some: T[] = [];
  let bytes = 0;
  for (const one of all) {
    const size = sizeOf(one);
    if (some.length > 0 && (some.length >= most || bytes + size > recordBytes)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += size;
  }
  if (some.length > 0) yield some;
}

/** For what WakaTime's protocol reads back: those of its time, on the import's own devices. */
async function keepHeartbeats(client: Queryable, claim: Claim, seen: readonly SeenItem[]): Promise<void> {
  const { organizationId, userId } = claim;
  const horizon = Date.now() - keptHeartbeatDays * dayMs;
  const young = new Map<string, OwnHeartbeat>();
  for (const { heartbeat, device } of seen) {
    if (!heartbeat || heartbeat.at <= horizon) continue;
    young.set(heartbeat.id, { ...heartbeat, userId, deviceId: deviceIdOf(claim.id, device) });
  }
  if (young.size === 0) return;
  const times = [...young.values()].map(({ at }) => at);
  // Time that somebody had erased on all devices is so on these as well.
  const span = { from: Math.min(...times), to: Math.max(...times) };
  const erased = await erasedRanges(client, organizationId, [userId], span);
  const left = [...young.values()].filter(
    (one) => !rangesOf(erased, one).some(({ from, to }) => from <= one.at && one.at < to),
  );
  if (left.length === 0) return;
  // What a plugin has sent is there already, and stays there when the import goes.
  const { rows } = await client.query<{ id: string }>(
    `SELECT h.id FROM unnest($3::bigint[], $4::uuid[]) AS t (at_ms, id)
     JOIN agent_protocols.heartbeats h ON h.organization_id = $1 AND h.user_id = $2 AND h.at_ms = t.at_ms AND h.id = t.id`,
    [organizationId, userId, left.map(({ at }) => at), left.map(({ id }) => id)],
  );
  const sent = new Set(rows.map(({ id }) => id));
  // With ids of their own: what a plugin sends later is stored beside them, and its time is that of its own device.
  const imported = left
    .filter(({ id }) => !sent.has(id))
    .map((one) => ({ ...one, id: derivedUuid('imported heartbeat', one.deviceId, one.id) }));
  if (imported.length > 0) await insertHeartbeats(client, organizationId, imported);
}
