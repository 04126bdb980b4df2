import type { Queryable } from '@worktide/postgres';

/** Where content is told apart: of one person, and of what begins on one day (UTC, days since 1970) in one stream. */
export interface Place {
  userId: string;
  stream: string;
  day: number;
}

export const nameOf = ({ userId, stream, day }: Place): string => `${userId} ${day} ${stream}`;

const bytesOf = (hashes: readonly bigint[]): Buffer => {
  const bytes = Buffer.alloc(8 * hashes.length);
  for (const [i, hash] of hashes.entries()) bytes.writeBigUInt64BE(hash, 8 * i);
  return bytes;
};

function* hashesOf(bytes: Buffer): Generator<bigint> {
  for (let at = 0; at + 8 <= bytes.length; at += 8) yield bytes.readBigUInt64BE(at);
}

/** What imports that are there have brought, by `nameOf` of each place. */
export async function knownContent(
  client: Queryable,
  organizationId: string,
  places: readonly Place[],
): Promise<Map<string, Set<bigint>>> {
  const { rows } = await client.query<{ user_id: string; stream: string; day: number; hashes: Buffer }>(
    `SELECT c.user_id, c.stream, c.day, c.hashes
     FROM unnest($2::uuid[], $3::text[], $4::int[]) AS w (user_id, stream, day)
     JOIN agent_protocols.imported_content c
       ON c.organization_id = $1 AND c.user_id = w.user_id AND c.stream = w.stream AND c.day = w.day
     JOIN agent_protocols.imports i ON i.organization_id = $1 AND i.id = c.import_id AND i.removed_at IS NULL`,
    [
      organizationId,
      places.map(({ userId }) => userId),
      places.map(({ stream }) => stream),
      places.map(({ day }) => day),
    ],
  );
  const known = new Map<string, Set<bigint>>();
  for (const { user_id: userId, stream, day, hashes } of rows) {
    const name = nameOf({ userId, stream, day });
    const all = known.get(name) ?? new Set();
    known.set(name, all);
    for (const hash of hashesOf(hashes)) all.add(hash);
  }
  return known;
}

/** Notes what an import brings from one position of its file on. */
export async function noteContent(
  client: Queryable,
  { organizationId, importId, position }: { organizationId: string; importId: string; position: number },
  content: readonly (Place & { hashes: readonly bigint[]; part: number })[],
): Promise<void> {
  if (content.length === 0) return;
  await client.query(
    `INSERT INTO agent_protocols.imported_content (organization_id, import_id, position, user_id, stream, day, hashes, part)
     SELECT $1, $2, $3, * FROM unnest($4::uuid[], $5::text[], $6::int[], $7::bytea[], $8::int[])`,
    [
      organizationId,
      importId,
      position,
      content.map(({ userId }) => userId),
      content.map(({ stream }) => stream),
      content.map(({ day }) => day),
      content.map(({ hashes }) => bytesOf(hashes)),
      content.map(({ part }) => part),
    ],
  );
}

/** Entries of a part that were not taken: whoever imports them again is to be told so again. */
export async function forgetContent(
  client: Queryable,
  { organizationId, importId, part }: { organizationId: string; importId: string; part: number },
  refused: ReadonlySet<bigint>,
): Promise<void> {
  if (refused.size === 0) return;
  const { rows } = await client.query<Place & { user_id: string; position: number; hashes: Buffer }>(
    `SELECT user_id, stream, day, position, hashes FROM agent_protocols.imported_content
     WHERE organization_id = $1 AND import_id = $2 AND part = $3`,
    [organizationId, importId, part],
  );
  for (const { user_id: userId, stream, day, position, hashes } of rows) {
    const all = [...hashesOf(hashes)];
    const left = all.filter((hash) => !refused.has(hash));
    if (left.length === all.length) continue;
    await client.query(
      `UPDATE agent_protocols.imported_content SET hashes = $7
       WHERE organization_id = $1 AND user_id = $2 AND stream = $3 AND day = $4 AND import_id = $5 AND position = $6 AND part = $8`,
      [organizationId, userId, stream, day, importId, position, bytesOf(left), part],
    );
  }
}
