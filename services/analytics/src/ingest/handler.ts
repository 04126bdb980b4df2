import { setImmediate as turn } from 'node:timers/promises';
import type { ClickHouse } from '@worktide/clickhouse';
import type { BatchContext, StoredRecord } from '@worktide/event-log';
import { AppError, type Metrics } from '@worktide/runtime';
import type { Codec } from '@worktide/schemas';
import { z } from 'zod';
import { collectChanges, type DayChanges, type Stored, storeChanges } from './changes.ts';
import { createRowWriter } from './row-writer.ts';
import { insertSettings, type TableSpec } from './tables.ts';

export interface HandlerOptions {
  clickhouse: Pick<ClickHouse, 'insert'>;
  codec: Pick<Codec, 'decode'>;
  metrics: Metrics;
  /** Rows of one insert; more of a batch go into further ones. */
  maxRowsPerInsert?: number;
  /** Takes out again what should not be there. */
  afterInsert?: ((changes: DayChanges) => Promise<void>) | undefined;
  /** Told after the store has them and knows that sums of these days are stale. */
  onStored?: (stored: Stored) => void;
}

/** Rows between two turns of the event loop: about 10 ms of work, so that heartbeats and reports are not kept waiting. */
const rowsPerTurn = 2_000;
const insertBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Dead letters keep the record's form, so that they can be replayed: its wire header, and only the bad item. */
function only(record: StoredRecord, value: object, list: string, item: unknown): Buffer {
  const wireHeaderBytes = 5;
  return Buffer.concat([
    record.value.subarray(0, wireHeaderBytes),
    Buffer.from(JSON.stringify({ ...value, [list]: [item] })),
  ]);
}

const invalid = (error: z.ZodError): { code: string; message: string } => ({
  code: 'INVALID',
  message: z.prettifyError(error).slice(0, 1_000),
});

/**
 * Handles batches of one topic: decodes, validates item by item, and inserts the rows; it resolves when ClickHouse has
 * them all. What can never be stored is dead-lettered alone. Anything else that fails is thrown and comes again, all of
 * it or in parts: every row replaces itself.
 */
export function tableHandler<E extends { organizationId: string }, I>(
  spec: TableSpec<E, I>,
  options: HandlerOptions,
): (batch: StoredRecord[], context: BatchContext) => Promise<void> {
  const { clickhouse, codec, metrics, maxRowsPerInsert = 20_000, afterInsert, onStored } = options;
  const { table, columns, envelope, items, item, fits, owner: ownerOf, write, touches } = spec;
  const stored = metrics.counter('worktide_analytics_rows_total', 'Rows stored in ClickHouse.', ['table']);
  const seconds = metrics.histogram('worktide_analytics_insert_seconds', 'Time of one insert.', insertBuckets, [
    'table',
  ]);

  async function insert(rows: number, data: Buffer[]): Promise<void> {
    const end = seconds.startTimer({ table });
    await clickhouse.insert({ table, columns, format: 'RowBinary', data, settings: insertSettings });
    end();
    stored.inc({ table }, rows);
  }

  /** The record's value, or undefined when it was dead-lettered whole. */
  function open(record: StoredRecord, context: BatchContext) {
    let value: unknown;
    try {
      value = codec.decode(record.value);
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'UNDECODABLE')) throw error;
      context.deadLetter(record, { code: error.code, message: error.message });
      return undefined;
    }
    const checked = envelope.safeParse(value);
    if (checked.success) return { value: value as Record<string, unknown>, envelope: checked.data };
    context.deadLetter(record, invalid(checked.error));
    return undefined;
  }

  return async (batch, context) => {
    const writer = createRowWriter();
    const changes = collectChanges();
    const organizations = new Set<string>();
    // One insert runs while the next one's rows are made: both processes are busy.
    let running: Promise<void> = Promise.resolve();
    const send = async (): Promise<void> => {
      await running;
      running = insert(writer.rows, writer.take());
      // Awaited later; until then a failure must not count as unhandled.
      running.catch(() => {});
    };
    let sinceTurn = 0;
    for (const record of batch) {
      const opened = open(record, context);
      if (!opened) continue;
      const owner = ownerOf(opened.envelope);
      organizations.add(opened.envelope.organizationId);
      const touch = touches?.(changes, opened.envelope);
      for (const candidate of opened.value[items] as unknown[]) {
        if (fits(candidate)) {
          write(writer, owner, opened.envelope, candidate);
          touch?.(candidate);
        } else {
          const reason = invalid(item.safeParse(candidate).error!);
          context.deadLetter(record, reason, () => only(record, opened.value, items, candidate));
        }
        sinceTurn++;
      }
      if (writer.rows >= maxRowsPerInsert) await send();
      if (sinceTurn < rowsPerTurn) continue;
      sinceTurn = 0;
      await turn();
    }
    if (writer.rows > 0) await send();
    await running;
    await afterInsert?.(changes);
    await storeChanges(clickhouse, changes);
    onStored?.({ organizations, changes });
  };
}
