import { call, expectStatus } from '@worktide/testing';
import { yesterdayNoon } from './people.ts';

/** An hour's work recorded offline, yesterday at noon unless said. */
export const offlineEntry = (idempotencyKey: string, more: Record<string, unknown> = {}) => ({
  idempotencyKey,
  startTime: new Date(yesterdayNoon()).toISOString(),
  endTime: new Date(yesterdayNoon() + 3_600_000).toISOString(),
  status: 'STOPPED',
  ...more,
});

export interface SyncAnswer {
  batchId: string;
  processed: number;
  skipped: number;
  conflicts: { index: number; idempotencyKey: string | null; reason: string; code?: string; conflictsWith?: string }[];
  results: { index: number; idempotencyKey: string | null; outcome: string; id?: string }[];
}

/** Hands over a batch and waits for what becomes of it. */
export async function syncBatch(url: string, bearer: string, entries: readonly unknown[]): Promise<SyncAnswer> {
  const body = { entries };
  const headers = { prefer: 'wait=30' };
  return expectStatus(
    await call<SyncAnswer>(url, 'post', '/api/v1/sync/batch', { bearer, body, headers, timeoutMs: 40_000 }),
    200,
  );
}
