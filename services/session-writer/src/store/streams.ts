import type { Pool, Queryable } from '@worktide/postgres';
import { inputSource } from '../merge/index.ts';
import { plainArray } from './arrays.ts';

/** A watcher: one source on one device of one user. Its row's bigint id never leaves the database. */
export interface StreamIdentity {
  organizationId: string;
  userId: string;
  deviceId: string;
  source: string;
}

export interface LockedStream {
  id: number;
  /** Highest version any of its entries ever had. */
  lastVersion: number;
}

const columns = (streams: readonly StreamIdentity[]): unknown[] => [
  plainArray(streams.map((s) => s.organizationId)),
  plainArray(streams.map((s) => s.userId)),
  streams.map((s) => s.deviceId),
  streams.map((s) => s.source),
];

/** What is locked for some work. */
export interface LockedStreams {
  /** In the order asked; undefined for a stream that is not there yet. */
  own: (LockedStream | undefined)[];
  /** By place in the order asked: the watcher of input of the stream's device, where there is one and it is another. */
  inputOf: ReadonlyMap<number, LockedStream>;
  /** By place of a watcher of input among those asked: the other streams of its device, asked for or not. */
  maskedBy: ReadonlyMap<number, (LockedStream & { stream: StreamIdentity })[]>;
}

interface LockedRow {
  n: number;
  id: number;
  last_version: number;
  device_id: string;
  source: string;
}

/** Everybody locks streams in this order: watchers of input first, for what they say decides which others there are to lock. */
export const lockOrder = (table: string): string => `(${table}.source <> '${inputSource}'), ${table}.id`;

/**
 * Locks the rows of these (distinct) streams until the transaction ends, in one order, as everybody does: two
 * writers meet without a deadlock, and the second sees what the first has written. With a stream the watcher of input of
 * its device is locked, whose mask it is under; with such a watcher all other streams of the device, which its idle time masks.
 * So nothing is folded under a mask that changes meanwhile, also where the one or the other has just come about.
 */
export async function lockStreams(client: Queryable, streams: readonly StreamIdentity[]): Promise<LockedStreams> {
  const own = new Array<LockedStream | undefined>(streams.length).fill(undefined);
  const inputOf = new Map<number, LockedStream>();
  const maskedBy: Map<number, (LockedStream & { stream: StreamIdentity })[]> = new Map();
  const locked = ({ id, last_version }: LockedRow): LockedStream => ({ id, lastVersion: last_version });
  const isInput = streams.map(({ source }) => source === inputSource);
  const lock = async (wanted: readonly number[], condition: string): Promise<LockedRow[]> => {
    const { rows } = await client.query<LockedRow>(
      `SELECT w.n, s.id, s.last_version, s.device_id, s.source
       FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int4[])
         AS w(organization_id, user_id, device_id, source, n)
       JOIN streams s ON s.organization_id = w.organization_id AND s.user_id = w.user_id AND s.device_id = w.device_id
         AND ${condition}
       ORDER BY ${lockOrder('s')} FOR NO KEY UPDATE OF s`,
      [...columns(wanted.map((n) => streams[n]!)), plainArray(wanted)],
    );
    return rows;
  };
  const all = [...streams.keys()];
  const inputs = all.filter((n) => isInput[n]);
  // Locked first, so that who has a stream that is not seen below waits, and finds the mask.
  if (inputs.length > 0) for (const row of await lock(inputs, 's.source = w.source')) own[row.n] = locked(row);

  const others = all.filter((n) => !isInput[n]);
  if (inputs.length === 0) {
    for (const row of await lock(others, `s.source = ANY (ARRAY[w.source, '${inputSource}'])`)) {
      if (row.source === inputSource) inputOf.set(row.n, locked(row));
      else own[row.n] = locked(row);
    }
    return { own, inputOf, maskedBy };
  }
  const byName = new Map(others.map((n) => [nameOf(streams[n]!), n]));
  const found = await lockWithDevices(client, streams, others, inputs);
  const inputByDevice = new Map<string, number>(inputs.map((n) => [deviceOf(streams[n]!), n]));
  const inputRows = new Map<string, LockedStream>();
  for (const { stream, ...row } of found) if (stream.source === inputSource) inputRows.set(deviceOf(stream), row);
  for (const { stream, ...row } of found) {
    if (stream.source === inputSource) continue;
    const n = byName.get(nameOf(stream));
    if (n !== undefined) own[n] = row;
    const input = inputByDevice.get(deviceOf(stream));
    if (input !== undefined) maskedBy.set(input, [...(maskedBy.get(input) ?? []), { ...row, stream }]);
  }
  for (const n of others) {
    const device = deviceOf(streams[n]!);
    const input = inputByDevice.get(device);
    const row = input === undefined ? inputRows.get(device) : own[input];
    if (row) inputOf.set(n, row);
  }
  return { own, inputOf, maskedBy };
}

const deviceOf = ({ organizationId, userId, deviceId }: StreamIdentity): string =>
  `${organizationId} ${userId} ${deviceId}`;
const nameOf = (stream: StreamIdentity): string => `${stream.source.length} ${stream.source} ${deviceOf(stream)}`;

/** These streams, the watchers of input of their devices, and all streams of the devices of those watchers. */
async function lockWithDevices(
  client: Queryable,
  streams: readonly StreamIdentity[],
  others: readonly number[],
  inputs: readonly number[],
): Promise<(LockedStream & { stream: StreamIdentity })[]> {
  const { rows } = await client.query<{
    id: number;
    last_version: number;
    organization_id: string;
    user_id: string;
    device_id: string;
    source: string;
  }>(
    `SELECT s.id, s.last_version, s.organization_id, s.user_id, s.device_id, s.source FROM streams s
     WHERE s.id IN (
       SELECT o.id FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS w(organization_id, user_id, device_id, source)
       JOIN streams o ON o.organization_id = w.organization_id AND o.user_id = w.user_id AND o.device_id = w.device_id
         AND o.source = ANY (ARRAY[w.source, '${inputSource}'])
       UNION
       SELECT o.id FROM unnest($5::uuid[], $6::uuid[], $7::text[]) AS w(organization_id, user_id, device_id)
       JOIN streams o USING (organization_id, user_id, device_id))
     ORDER BY ${lockOrder('s')} FOR NO KEY UPDATE OF s`,
    [...columns(others.map((n) => streams[n]!)), ...columns(inputs.map((n) => streams[n]!)).slice(0, 3)],
  );
  return rows.map((row) => ({
    id: row.id,
    lastVersion: row.last_version,
    stream: {
      organizationId: row.organization_id,
      userId: row.user_id,
      deviceId: row.device_id,
      source: row.source,
    },
  }));
}

/**
 * Makes missing streams, in a statement of its own: inside the transaction that locks, a stream made by two writers at
 * once could be waited for out of order.
 */
export async function createStreams(pool: Pool, streams: readonly StreamIdentity[]): Promise<void> {
  await pool.query(
    `INSERT INTO streams (organization_id, user_id, device_id, source)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS w(a, b, c, d) ORDER BY a, b, c, d
     ON CONFLICT DO NOTHING`,
    columns(streams),
  );
}

/** Remembers the version each of these locked streams has reached. */
export async function saveVersions(client: Queryable, reached: ReadonlyMap<number, number>): Promise<void> {
  await client.query(
    `UPDATE streams s SET last_version = u.version
     FROM unnest($1::int8[], $2::int8[]) AS u(id, version) WHERE s.id = u.id`,
    [plainArray([...reached.keys()]), plainArray([...reached.values()])],
  );
}
