import type { ListedObject, ObjectStore } from '@worktide/object-store';
import type { Pool } from '@worktide/postgres';
import { resultKeys, screenshotOfResult, screenshotOfUpload } from '../keys.ts';
import { columns, type ScreenshotRow } from '../rows.ts';

const hour = 3_600_000;
/** An upload that nobody knows may still be confirmed, or its record be on its way; after this it is nobody's. */
const unknownAgeMs = 24 * hour;
const claimAgeMs = 48 * hour;
/** Between an object and its record lie a request's time at most; this is for clocks that differ as well. */
const recordDelayMs = hour;

export interface ObjectRule {
  prefix: string;
  /** Which of these are to go, by what is counted of them. */
  choose(page: readonly ListedObject[]): Promise<Map<string, string[]>>;
}

export interface RuleOptions {
  pool: Pool;
  now: () => number;
  /** When the consumer was last seen to have read the whole log; undefined where never. */
  caughtUpAt: () => number | undefined;
}

/** What may lie in the store, and until when. */
export function objectRules({ pool, now, caughtUpAt }: RuleOptions): ObjectRule[] {
  /** Old enough, and its record, had there been one, would have been read: the row would be there. */
  const isNobodys = ({ modifiedAt }: ListedObject): boolean => {
    const at = modifiedAt.getTime();
    return at < now() - unknownAgeMs && at + recordDelayMs < (caughtUpAt() ?? Number.NEGATIVE_INFINITY);
  };

  return [
    {
      prefix: 'claims/',
      choose: async (page) => {
        const old = page.filter(({ modifiedAt }) => modifiedAt.getTime() < now() - claimAgeMs);
        return new Map([['claim', old.map(({ key }) => key)]]);
      },
    },
    {
      prefix: 'uploads/',
      async choose(page) {
        // Asked before the rows are: a record read in between has made its row.
        const nobodys = new Set(page.filter(isNobodys));
        const rows = await rowsOf(pool, page, screenshotOfUpload);
        const settled: string[] = [];
        const unknown: string[] = [];
        for (const object of page) {
          const row = rows.get(object.key);
          const owner = screenshotOfUpload(object.key)?.userId.toLowerCase();
          if (row && row.userId === owner) {
            if (row.status !== 'pending' || row.deletedAt) settled.push(object.key);
          } else if (nobodys.has(object)) unknown.push(object.key);
        }
        return new Map([
          ['settled-upload', settled],
          ['unknown-upload', unknown],
        ]);
      },
    },
    {
      prefix: 'screenshots/',
      async choose(page) {
        const nobodys = new Set(page.filter(isNobodys));
        const rows = await rowsOf(pool, page, screenshotOfResult);
        const orphans = page.filter((object) => {
          const row = rows.get(object.key);
          if (!row) return nobodys.has(object);
          if (row.status === 'failed' || row.deletedAt) return true;
          return !resultKeys(row).includes(object.key) && nobodys.has(object);
        });
        return new Map([['orphan-result', orphans.map(({ key }) => key)]]);
      },
    },
  ];
}

/** The rows of some objects, by the objects' keys. */
async function rowsOf(
  pool: Pool,
  page: readonly ListedObject[],
  nameOf: (key: string) => { organizationId: string; id: string } | undefined,
): Promise<Map<string, ScreenshotRow>> {
  const named = page.flatMap(({ key }) => {
    const name = nameOf(key);
    if (!name) return [];
    return [{ key, organizationId: name.organizationId.toLowerCase(), id: name.id.toLowerCase() }];
  });
  const { rows } = await pool.query<ScreenshotRow>(
    `SELECT ${columns} FROM screenshots.screenshots
     WHERE (organization_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))`,
    [named.map(({ organizationId }) => organizationId), named.map(({ id }) => id)],
  );
  const byName = new Map(rows.map((row) => [`${row.organizationId}/${row.id}`, row]));
  return new Map(
    named.flatMap(({ key, organizationId, id }) => {
      const row = byName.get(`${organizationId}/${id}`);
      return row ? [[key, row]] : [];
    }),
  );
}

/** A walk through a prefix, some pages at a time; from its end on it begins anew. */
export function createWalk(store: Pick<ObjectStore, 'list' | 'deleteMany'>, rule: ObjectRule, pageSize: number) {
  let after: string | undefined;
  return async (pages: number, count: (kind: string, objects: number) => void): Promise<void> => {
    for (let page = 0; page < pages; page++) {
      const { items, next } = await store.list(rule.prefix, { after, limit: pageSize });
      // What others put here is theirs, and may have names that cannot even be asked for, such as a console's `uploads/`.
      const ours = items.filter(({ key }) => screenshotOfUpload(key) ?? screenshotOfResult(key));
      for (const [kind, keys] of await rule.choose(ours)) {
        if (keys.length === 0) continue;
        await store.deleteMany(keys);
        count(kind, keys.length);
      }
      after = next;
      if (next === undefined) return;
    }
  };
}
