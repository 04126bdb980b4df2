import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Bucket, countedEnd, type Event, goesOn, isPrivate, pingFieldsOf } from '@worktide/activitywatch';
import { uuidv7 } from '@worktide/runtime';

/** A bucket as ActivityWatch shows it. */
export interface ShownBucket extends Bucket {
  id: string;
  hostname: string;
  created: string;
}

/** A ping that is to be sent, as `POST /pings` takes it. */
export type QueuedPing = { id: string; startedAt: string; endedAt: string } & Record<string, unknown>;

export interface Store {
  buckets(): ShownBucket[];
  bucket(id: string): ShownBucket | undefined;
  /** False where it was there. @throws where there are too many. */
  createBucket(bucket: ShownBucket): boolean;
  deleteBucket(id: string): boolean;
  lastEvent(id: string): (Event & { id: number }) | undefined;
  /** On disk when it returns. @returns the event that it belongs to. */
  heartbeat(bucket: ShownBucket, given: Event, pulsetimeMs: number): Event & { id: number };
  /** Events as they are; on disk when it returns. */
  events(bucket: ShownBucket, events: readonly Event[]): void;
  /** What is next, oldest first: what is over, and of what goes on what is worth a request. */
  next(limit: number, nowMs: number): QueuedPing[];
  /** Worktide has these, up to the ends that they were sent with, or will never take them. */
  done(pings: readonly QueuedPing[]): void;
  waiting(): number;
  close(): void;
}

const maxBuckets = 500;
/** What goes on for longer is several pings. */
const longestMs = 3_600_000;
/** Of what goes on so much is sent at once, or what is there when nothing has come of it for this time. */
const worthMs = 30_000;

const tables = `
  CREATE TABLE IF NOT EXISTS buckets (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, client TEXT NOT NULL, hostname TEXT NOT NULL, created TEXT NOT NULL,
    event INTEGER NOT NULL DEFAULT 0, started_at INTEGER, ended_at INTEGER, data TEXT, ping TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS pings (
    id TEXT PRIMARY KEY, started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, fields TEXT NOT NULL,
    is_open INTEGER NOT NULL, sent_until INTEGER NOT NULL DEFAULT -1, changed_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS pings_order ON pings (started_at, id);`;

/**
 * The queue of a bridge, in one file that survives the process at any moment.
 * @param maxPages of 4 KB; for tests of a disk that is full.
 * @throws where the folder cannot be written, or another bridge has it.
 */
export function openStore(
  folder: string,
  { maxPages, now = Date.now }: { maxPages?: number; now?: () => number } = {},
): Store {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const db = new DatabaseSync(path.join(folder, 'queue.sqlite'), { timeout: 2_000 });
  // FULL: what was answered is on disk. EXCLUSIVE: two bridges on one queue would send in each other's name.
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  db.exec(tables);
  if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`);

  const inTransaction = <T>(work: () => T): T => {
    db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk has rolled back by itself.
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };
  const prepared = {
    bucket: db.prepare('SELECT * FROM buckets WHERE id = ?'),
    setLast: db.prepare('UPDATE buckets SET event = ?, started_at = ?, ended_at = ?, data = ?, ping = ? WHERE id = ?'),
    insertPing: db.prepare(
      'INSERT INTO pings (id, started_at, ended_at, fields, is_open, changed_at) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    growPing: db.prepare('UPDATE pings SET ended_at = max(ended_at, ?), changed_at = ? WHERE id = ?'),
    closePing: db.prepare(
      'UPDATE pings SET ended_at = max(?, sent_until, started_at), is_open = 0, changed_at = ? WHERE id = ?',
    ),
    cutPing: db.prepare('DELETE FROM pings WHERE id = ? AND is_open = 0 AND sent_until >= ended_at'),
  };
  type Row = ShownBucket & {
    event: number;
    started_at: number | null;
    ended_at: number | null;
    data: string | null;
    ping: string | null;
  };
  const rowOf = (id: string) => prepared.bucket.get(id) as Row | undefined;
  const lastOf = (row: Row | undefined): (Event & { id: number }) | undefined =>
    row && row.started_at !== null && row.ended_at !== null
      ? { id: row.event, startedAt: row.started_at, endedAt: row.ended_at, data: JSON.parse(row.data!) }
      : undefined;
  const shown = ({ id, type, client, hostname, created }: Row): ShownBucket => ({
    id,
    type,
    client,
    hostname,
    created,
  });

  /** A row of the queue for a new event; null for what is nobody's time, or a private window. */
  function enqueue(bucket: Bucket, { startedAt, endedAt, data }: Event, isOpen: boolean): string | null {
    const fields = isPrivate(data) ? undefined : pingFieldsOf(bucket, data);
    if (!fields) return null;
    // Longer ones are cut, as events of a whole night are.
    let id: string | null = null;
    let from = startedAt;
    do {
      const to = Math.min(endedAt, from + longestMs);
      id = uuidv7();
      prepared.insertPing.run(id, from, to, JSON.stringify(fields), isOpen && to === endedAt ? 1 : 0, now());
      from = to;
    } while (from < endedAt);
    return id;
  }

  return {
    buckets: () => (db.prepare('SELECT * FROM buckets ORDER BY id').all() as unknown as Row[]).map(shown),
    bucket: (id) => {
      const row = rowOf(id);
      return row && shown(row);
    },
    createBucket({ id, type, client, hostname, created }) {
      return inTransaction(() => {
        if (rowOf(id)) return false;
        const { n } = db.prepare('SELECT count(*) AS n FROM buckets').get() as { n: number };
        if (n >= maxBuckets) throw new Error(`there are ${maxBuckets} buckets already`);
        const insert = db.prepare('INSERT INTO buckets (id, type, client, hostname, created) VALUES (?, ?, ?, ?, ?)');
        insert.run(id, type, client, hostname, created);
        return true;
      });
    },
    deleteBucket(id) {
      return inTransaction(() => {
        const ping = rowOf(id)?.ping;
        // What was seen was seen.
        if (ping) db.prepare('UPDATE pings SET is_open = 0 WHERE id = ?').run(ping);
        return db.prepare('DELETE FROM buckets WHERE id = ?').run(id).changes > 0;
      });
    },
    lastEvent: (id) => lastOf(rowOf(id)),
    heartbeat(bucket, sent, pulsetimeMs) {
      // Of a private window nothing is kept, not even for as long as it is open.
      const given = isPrivate(sent.data) ? { ...sent, data: { incognito: true } } : sent;
      return inTransaction(() => {
        const row = rowOf(bucket.id)!;
        const last = lastOf(row);
        const merged = goesOn(last, given, pulsetimeMs);
        const data = JSON.stringify(given.data);
        if (merged && last) {
          let { ping } = row;
          const pinged =
            ping &&
            (db.prepare('SELECT started_at FROM pings WHERE id = ?').get(ping) as { started_at: number } | undefined);
          if (ping && pinged && merged.endedAt - pinged.started_at <= longestMs) {
            prepared.growPing.run(merged.endedAt, now(), ping);
          } else if (ping) {
            prepared.closePing.run(last.endedAt, now(), ping);
            ping = enqueue(bucket, { ...merged, startedAt: last.endedAt }, true);
          }
          prepared.setLast.run(last.id, merged.startedAt, merged.endedAt, data, ping, bucket.id);
          return { ...merged, id: last.id };
        }
        if (last && row.ping) {
          prepared.closePing.run(countedEnd(last, given, pulsetimeMs), now(), row.ping);
          prepared.cutPing.run(row.ping);
        }
        const id = (last?.id ?? row.event) + 1;
        prepared.setLast.run(id, given.startedAt, given.endedAt, data, enqueue(bucket, given, true), bucket.id);
        return { ...given, id };
      });
    },
    events(bucket, events) {
      inTransaction(() => {
        for (const event of events) enqueue(bucket, event, false);
      });
    },
    next(limit, nowMs) {
      const rows = db
        .prepare(
          `SELECT id, started_at, ended_at, fields FROM pings
           WHERE ended_at > sent_until AND (is_open = 0 OR ended_at - max(sent_until, started_at) >= ? OR changed_at <= ?)
           ORDER BY started_at, id LIMIT ?`,
        )
        .all(worthMs, nowMs - worthMs, limit) as unknown as {
        id: string;
        started_at: number;
        ended_at: number;
        fields: string;
      }[];
      return rows.map(({ id, started_at, ended_at, fields }) => ({
        id,
        startedAt: new Date(started_at).toISOString(),
        endedAt: new Date(ended_at).toISOString(),
        ...JSON.parse(fields),
      }));
    },
    done(pings) {
      inTransaction(() => {
        const sent = db.prepare('UPDATE pings SET sent_until = max(sent_until, ?) WHERE id = ?');
        for (const { id, endedAt } of pings) {
          sent.run(Date.parse(endedAt), id);
          prepared.cutPing.run(id);
        }
      });
    },
    waiting: () => (db.prepare('SELECT count(*) AS n FROM pings WHERE ended_at > sent_until').get() as { n: number }).n,
    close: () => db.close(),
  };
}
