import type { ClickHouse } from '@worktide/clickhouse';
import type { BatchContext, StoredRecord } from '@worktide/event-log';
import {
  type PeopleRecord,
  readRecord,
  type ScreenshotReadyRecord,
  type WorkspaceEvent,
  type WorkspaceRecord,
} from '@worktide/schemas';
import type { z } from 'zod';
import { collectChanges } from './changes.ts';
import type { HandlerOptions } from './handler.ts';
import { endOfTime } from './tables.ts';

/** Rows by their table; the names of a row are its columns. */
export type Rows = Map<string, Record<string, unknown>[]>;

/** Rows of states that a higher version replaces: few, and of several tables at once. */
export async function storeStates(clickhouse: Pick<ClickHouse, 'insert'>, rows: Rows): Promise<void> {
  for (const [table, list] of rows) {
    await clickhouse.insert({
      table,
      columns: Object.keys(list[0]!),
      format: 'JSONEachRow',
      data: list.map((row) => Buffer.from(`${JSON.stringify(row)}\n`)),
      settings: { date_time_input_format: 'best_effort', max_partitions_per_insert_block: '0' },
    });
  }
}

/** Handles batches of such a topic; resolves when ClickHouse has them all. What can never be read is dead-lettered. */
export function statesHandler<S extends z.ZodType<{ organizationId: string }>>(
  schema: S,
  add: (rows: Rows, record: z.output<S>) => void,
  { clickhouse, codec, onStored }: Pick<HandlerOptions, 'clickhouse' | 'codec' | 'onStored'>,
): (batch: StoredRecord[], context: BatchContext) => Promise<void> {
  return async (batch, context) => {
    const rows: Rows = new Map();
    const organizations = new Set<string>();
    for (const record of batch) {
      const read = readRecord(codec, record.value, schema);
      if ('unusable' in read) context.deadLetter(record, read.unusable);
      else {
        add(rows, read.data);
        organizations.add(read.data.organizationId);
      }
    }
    await storeStates(clickhouse, rows);
    onStored?.({ organizations, changes: collectChanges() });
  };
}

const put = (rows: Rows, table: string, row: Record<string, unknown>): void => {
  const list = rows.get(table);
  if (list) list.push(row);
  else rows.set(table, [row]);
};
const flag = (value: boolean): number => (value ? 1 : 0);
const time = (instant: number | null): string | null =>
  instant === null ? null : new Date(Math.min(instant, endOfTime - 1)).toISOString();

export function addPeople(rows: Rows, { organizationId, events }: PeopleRecord): void {
  for (const event of events) {
    const { name, timezone, version } = event;
    const state = { name, timezone, version, deleted: flag(event.deleted) };
    if (event.type === 'person') {
      const { id, role, status } = event;
      put(rows, 'people', { organization_id: organizationId, id, role, status, ...state });
    } else {
      const { subscriptionStatus } = event;
      put(rows, 'organizations', { organization_id: event.id, subscription_status: subscriptionStatus, ...state });
    }
  }
}

export function addWorkspace(rows: Rows, { organizationId, events }: WorkspaceRecord): void {
  for (const event of events) {
    const { id, version } = event;
    const state = { organization_id: organizationId, id, version, deleted: flag(event.deleted) };
    put(rows, `${event.type}s`, { ...state, ...columnsOf(event) });
  }
}

function columnsOf(event: WorkspaceEvent): Record<string, unknown> {
  if (event.type === 'project') return { name: event.name, status: event.status };
  if (event.type === 'team') {
    return {
      name: event.name,
      project_id: event.projectId,
      member_ids: event.memberIds,
      lead_ids: event.leadIds ?? [],
    };
  }
  return {
    project_id: event.projectId,
    title: event.title,
    status: event.status,
    priority: event.priority,
    assignee_id: event.assigneeId,
    creator_id: event.creatorId,
    due_date: event.dueDate ?? '',
    completed_at: time(event.completedAt),
  };
}

export function addScreenshot(rows: Rows, record: ScreenshotReadyRecord): void {
  put(rows, 'screenshots', {
    organization_id: record.organizationId,
    user_id: record.userId,
    id: record.screenshotId,
    status: record.status,
    captured_at: time(record.capturedAt),
    time_entry_id: record.timeEntryId,
    blur_level: record.blurLevel,
    width: record.width,
    height: record.height,
    failure_code: record.failureCode ?? '',
    version: record.version,
    deleted: flag(record.deleted),
  });
}
