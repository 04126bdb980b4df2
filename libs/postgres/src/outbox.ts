import type { Producer } from '@worktide/event-log';
import {
  AppError,
  backoffMs,
  describeError,
  type Lifecycle,
  type Logger,
  type Metrics,
  type ReadinessCheck,
  sleep,
  traceHeader,
  traceparentFor,
  unavailable,
  uuidv7,
} from '@worktide/runtime';
import { type OutboxEvent, packEvents, rowsOf, unpackEvents, unpackedSize } from './outbox-codec.ts';
import { createPublisher, outboxMetrics } from './outbox-publish.ts';
import type { Pool, Queryable } from './pool.ts';

export type { OutboxEvent } from './outbox-codec.ts';

/**
 * What happens while too much committed work waits for the log. `refuse`: `write` throws, for consumers, which pause.
 * `leave`: the row stays for the sweep, for what people do, which must not fail because the log is away. Rows left are
 * published after later ones that were not.
 */
export type WhenFull = 'refuse' | 'leave';

export interface OutboxOptions {
  /** Schema whose table `outbox` (see `migrate`) this is. */
  schema: string;
  /** For the sweep; writes use the caller's transaction. */
  pool: Pool;
  producer: Pick<Producer, 'send'>;
  log: Logger;
  metrics: Metrics;
  lifecycle: Lifecycle;
  /** A row this old was left behind by someone; 5 s unless said. Also how often the sweep looks. */
  graceMs?: number;
  /** Committed but unpublished events kept in memory, in bytes; 32 MiB unless said. */
  maxUnpublishedBytes?: number;
  /** Of every `write` that does not say; `refuse` unless said. */
  whenFull?: WhenFull;
}

interface OutboxRow {
  readonly id: string;
  readonly events: readonly OutboxEvent[];
  readonly bytes: number;
}

/** What `write` gives and `committed` takes; events stay in memory so that nothing is read back. */
export interface OutboxTicket {
  /** In the order of the events; none where there are none. */
  readonly rows: readonly OutboxRow[];
  /** Rows of earlier transactions that this one deletes. */
  readonly deleted: readonly string[];
  readonly whenFull: WhenFull;
}

export interface Outbox {
  /**
   * Inside a transaction: stores the events in one row, or in several bounded ones, and deletes rows that this process
   * has published.
   * Every row written is a promise to publish, kept by this process or, should it die, by any other's sweep.
   * @throws 503 `DEPENDENCY_UNAVAILABLE` while too much committed work waits for the log (with `refuse`);
   *   AppError `RECORD_TOO_LARGE` for an event over 900 KB, which could never be published.
   */
  write(client: Queryable, events: readonly OutboxEvent[], whenFull?: WhenFull): Promise<OutboxTicket>;
  /**
   * After COMMIT (never before, and not after a rollback): publishes from memory. Resolves when the log has
   * everything that it will ever take (see `outbox_refused`), however long that takes, so that a writer that awaits it feels the log's pressure, or at once where the
   * row is left to the sweep; rejects 503 only when the process closes first, and the row then waits for a sweep, too.
   * Nothing is lost by not awaiting.
   */
  committed(ticket: OutboxTicket): Promise<void>;
  /** Publishes rows left behind by others now; how many. The outbox does this by itself at start and every few seconds. */
  sweep(): Promise<number>;
  /** Throws while events committed here cannot be published. */
  check: ReadinessCheck;
}

/** The broker refuses records over 1 MB, the log's producer those over 900 KiB with key and headers: this leaves room for them. */
const maxEventBytes = 900_000;
/** Rows a sweep takes at once, and for how long they are its own: no transaction stays open while it publishes. */
const sweepRows = 20;
const leaseMs = 30_000;
/** Rows deleted by one write. */
const deleteRows = 500;
/** Closing gives a publication under way this long. */
const closeGraceMs = 3_000;

/**
 * An outbox (docs/rules.md, Log): mostly one row per transaction, published from memory after the commit, deleted in the next
 * transaction of the same writer. What the log refuses for ever goes to `outbox_refused`. What a dead writer left is found by `due_at`, never by "id > cursor", which would
 * lose late commits. A crash anywhere may publish twice and never loses; events carry versions, so order is free.
 */
export function createOutbox(options: OutboxOptions): Outbox {
  const { schema, pool, log, lifecycle, graceMs = 5_000, maxUnpublishedBytes = 32 * 1024 * 1024 } = options;
  const table = `${schema}.outbox`;
  const insert = `INSERT INTO ${table} (id, due_at, events)
    VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond', $3)`;
  const metrics = outboxMetrics(options.metrics, schema);
  const stop = new AbortController();
  /** Committed here, not yet in the log. */
  const unpublished = new Set<string>();
  /** In the log; the row is still there. */
  const published = new Set<string>();
  let unpublishedBytes = 0;
  let failure: unknown;
  const toLog = createPublisher({ ...options, table, metrics });
  const isFull = (more: number): boolean => unpublished.size > 0 && unpublishedBytes + more > maxUnpublishedBytes;

  async function write(
    client: Queryable,
    events: readonly OutboxEvent[],
    whenFull: WhenFull = options.whenFull ?? 'refuse',
  ): Promise<OutboxTicket> {
    if (whenFull === 'refuse' && isFull(unpackedSize(events))) throw unavailable('event-log', failure);
    if (events.some((event) => event.value.length + Buffer.byteLength(event.key) > maxEventBytes)) {
      throw new AppError('RECORD_TOO_LARGE', 'An event is too large to be published.');
    }
    const doomed = [...published].slice(0, deleteRows);
    const [first, ...more] = rowsOf(events.map(inTrace)).map((row) => ({ id: uuidv7(), ...row }));
    if (!first) return { rows: [], deleted: await deleteRowsOf(client, doomed), whenFull };
    // Rows locked by a parallel write of this process are its business: skipped, and left in `published` if it fails.
    const { rows } = await client.query<{ id: string }>(
      `WITH gone AS (
         DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE id = ANY($4::uuid[]) FOR UPDATE SKIP LOCKED)
         RETURNING id
       ), written AS (${insert})
       SELECT id FROM gone`,
      [first.id, graceMs, packEvents(first.events), doomed],
    );
    for (const { id, events: some } of more) await client.query(insert, [id, graceMs, packEvents(some)]);
    return { rows: [first, ...more], deleted: rows.map((row) => row.id), whenFull };
  }

  async function deleteRowsOf(client: Queryable, ids: string[]): Promise<string[]> {
    if (ids.length === 0) return [];
    const { rows } = await client.query<{ id: string }>(
      `DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE id = ANY($1::uuid[]) FOR UPDATE SKIP LOCKED)
       RETURNING id`,
      [ids],
    );
    return rows.map((row) => row.id);
  }

  async function committed(ticket: OutboxTicket): Promise<void> {
    for (const id of ticket.deleted) published.delete(id);
    const bytes = ticket.rows.reduce((sum, row) => sum + row.bytes, 0);
    if (ticket.whenFull === 'leave' && isFull(bytes)) {
      metrics.left.inc({ schema }, ticket.rows.length);
      return;
    }
    for (const { id } of ticket.rows) unpublished.add(id);
    unpublishedBytes += bytes;
    metrics.unpublished.set({ schema }, unpublished.size);
    let waiting = bytes;
    try {
      for (const row of ticket.rows) {
        await publish(row);
        published.add(row.id);
        unpublished.delete(row.id);
        unpublishedBytes -= row.bytes;
        waiting -= row.bytes;
      }
    } finally {
      for (const { id } of ticket.rows) unpublished.delete(id);
      unpublishedBytes -= waiting;
      metrics.unpublished.set({ schema }, unpublished.size);
    }
  }

  /** Whether the row is done with; false where it is to be tried again. */
  async function tryToPublish(row: Pick<OutboxRow, 'id' | 'events'>): Promise<boolean> {
    try {
      await toLog(row);
      failure = undefined;
      return true;
    } catch (error) {
      metrics.failures.inc({ schema });
      if (failure === undefined) log.warn({ err: error, schema }, `outbox: cannot publish: ${describeError(error)}`);
      failure = error;
      return false;
    }
  }

  async function publish(row: OutboxRow): Promise<void> {
    for (let attempt = 0; !(await tryToPublish(row)); attempt++) {
      if (!stop.signal.aborted) await sleep(backoffMs(attempt), stop.signal);
      if (stop.signal.aborted) throw unavailable('event-log', failure);
    }
  }

  async function sweep(): Promise<number> {
    const own = [...published];
    if (own.length > 0) {
      await pool.query(`DELETE FROM ${table} WHERE id = ANY($1::uuid[])`, [own]);
      for (const id of own) published.delete(id);
    }
    let swept = 0;
    for (;;) {
      // A lease instead of a lock: an open transaction while the log answers would hold back every vacuum.
      const { rows } = await pool.query<{ id: string; events: Buffer }>(
        `UPDATE ${table} SET due_at = clock_timestamp() + $1 * interval '1 millisecond'
         WHERE id IN (SELECT id FROM ${table} WHERE due_at <= clock_timestamp() AND id <> ALL($2::uuid[])
                      ORDER BY due_at LIMIT ${sweepRows} FOR UPDATE SKIP LOCKED)
         RETURNING id, events`,
        // Own rows that were published since this sweep began are as done as those deleted above.
        [leaseMs, [...unpublished, ...published]],
      );
      // In the order of making, which RETURNING does not keep: what follows each other mostly arrives so.
      rows.sort((a, b) => (a.id < b.id ? -1 : 1));
      const done: string[] = [];
      let away = false;
      for (const row of rows) {
        const events = readRow(row);
        if (events === undefined) continue;
        // A large row, of before rows were divided, would never fit into the producer's queue.
        for (const [i, part] of rowsOf(events).entries()) {
          away ||= !(await tryToPublish({ id: i === 0 ? row.id : uuidv7(), events: part.events }));
        }
        if (away || stop.signal.aborted) break;
        done.push(row.id);
      }
      if (done.length > 0) await pool.query(`DELETE FROM ${table} WHERE id = ANY($1::uuid[])`, [done]);
      swept += done.length;
      metrics.swept.inc({ schema }, done.length);
      if (away) throw unavailable('event-log', failure);
      if (rows.length === sweepRows && !stop.signal.aborted) continue;
      if (rows.length === 0 && unpublished.size === 0) failure = undefined;
      return swept;
    }
  }

  // Damaged bytes must not hold up the rows behind them, and must not vanish: the row stays, and says so every lease.
  function readRow(row: { id: string; events: Buffer }): OutboxEvent[] | undefined {
    try {
      return unpackEvents(row.events);
    } catch (error) {
      metrics.failures.inc({ schema });
      log.error({ err: error, schema, row: row.id }, 'outbox: a row cannot be read; it stays in the table');
      return undefined;
    }
  }

  // The first sweep starts at once: it drains what was left before this start.
  const sweeping = lifecycle.every(
    `outbox sweep ${schema}`,
    { everyMs: graceMs, retryMs: (failures) => backoffMs(failures, 200, graceMs) },
    async () => {
      const swept = await sweep();
      if (swept > 0) log.info({ schema, rows: swept }, 'outbox: published what was left behind');
    },
  );
  lifecycle.onClose(`outbox ${schema}`, async () => {
    const deadline = Date.now() + closeGraceMs;
    while (unpublished.size > 0 && failure === undefined && Date.now() < deadline) await sleep(20);
    stop.abort();
    await sweeping.stop();
    // Not needed for correctness: a clean stop leaves a clean table, so the next start publishes nothing twice.
    await deleteRowsOf(pool, [...published]).catch(() => {});
  });

  return {
    write,
    committed,
    sweep,
    check: () => {
      if (failure !== undefined) throw unavailable('event-log', failure);
    },
  };
}

/** Published later, perhaps after what it follows from has ended. */
function inTrace(event: OutboxEvent): OutboxEvent {
  const traceparent = traceparentFor(event.key);
  return traceparent === undefined ? event : { ...event, headers: { [traceHeader]: traceparent } };
}
