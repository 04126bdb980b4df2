import type { Readable } from 'node:stream';
import type { Identity } from '@worktide/identity';
import type { ObjectStore } from '@worktide/object-store';
import type { PrivacyGuard } from '@worktide/privacy';
import { invalid, unauthorized } from '@worktide/runtime';
import type { Judged, Plan } from './items.ts';
import { type Buckets, readActivityWatch } from './read/activitywatch.ts';
import { readDates, readEntries } from './read/entries.ts';
import { createOrderFinder } from './read/local-times.ts';
import { readWakaTime } from './read/wakatime.ts';
import type { ImportRow } from './store.ts';

export interface FileDependencies {
  store: Pick<ObjectStore, 'get'>;
  identity: Pick<Identity, 'findUser' | 'organization'>;
  privacy: Pick<PrivacyGuard, 'of'>;
  /** What usage began before so many months is not kept (`USAGE_RETENTION_MONTHS`). */
  retentionMonths: number;
}

const dayMs = 86_400_000;

/** The file of an import. @throws AppError 400 `FILE_GONE`, 503. */
export async function openFile(
  store: Pick<ObjectStore, 'get'>,
  { fileKey }: Pick<ImportRow, 'fileKey'>,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<Readable> {
  const found = fileKey === null ? undefined : await store.get(fileKey);
  if (!found) throw invalid('FILE_GONE', 'The file is not there any more.');
  const { body } = found;
  body.on('data', (piece: Buffer) => onBytes(piece.length));
  // A listener makes it flow, and whoever reads it is not there yet.
  body.pause();
  const end = (): void => void body.destroy(signal.reason as Error);
  signal.addEventListener('abort', end, { once: true });
  body.once('close', () => signal.removeEventListener('abort', end));
  if (signal.aborted) end();
  return body;
}

/** Start of the oldest month of usage that is kept, epoch ms. */
export function usageKeptFrom(nowMs: number, months: number): number {
  const now = new Date(nowMs);
  return Math.max(0, Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - months));
}

/**
 * The rows of an import's file, judged, some at a time.
 * @param plan what is known of the file; what it says of its buckets is added.
 * @throws AppError 400 where the file is none of its kind; 503.
 */
export async function judgeRows(
  deps: FileDependencies,
  row: ImportRow,
  file: Readable,
  { plan, from, buckets = new Map(Object.entries(plan.buckets)) }: { plan: Plan; from: number; buckets?: Buckets },
): Promise<AsyncGenerator<Judged[]>> {
  const { organizationId, userId, kind, timezone } = row;
  const nowMs = Date.now();
  if (kind === 'toggl' || kind === 'clockify') {
    const settings = (await deps.identity.organization(organizationId))?.settings;
    const days = settings?.timeEntryRetentionDays ?? null;
    const keptFromMs = days === null ? undefined : nowMs - days * dayMs;
    return readEntries(file, { nowMs, keptFromMs, timezone, dateOrder: plan.dateOrder ?? 'ymd' }, { from });
  }
  const user = await deps.identity.findUser(organizationId, userId);
  if (user?.status !== 'active') throw unauthorized();
  const { pausedFrom, pausedUntil } = row;
  const pause = pausedFrom === null || pausedUntil === null ? undefined : { from: pausedFrom, until: pausedUntil };
  const context = {
    importId: row.id,
    userId,
    nowMs,
    keptFromMs: usageKeptFrom(nowMs, deps.retentionMonths),
    rules: await deps.privacy.of({ organizationId }),
    observed: { timezone: user.timezone, pause },
  };
  return kind === 'wakatime'
    ? readWakaTime(file, context, { from })
    : readActivityWatch(file, context, { buckets, from });
}

/**
 * In which order the dates of a file are written, from all of them.
 * @throws AppError 400 `AMBIGUOUS_DATES` where they could be two days, `MIXED_DATES` where no one order fits all of them.
 */
export async function findDateOrder(file: Readable): Promise<'ymd' | 'dmy' | 'mdy'> {
  const finder = createOrderFinder();
  for await (const rows of readDates(file)) {
    for (const { row, dates } of rows) for (const text of dates) finder.add(text, row);
  }
  const found = finder.result();
  if ('order' in found) return found.order;
  if ('ambiguous' in found) {
    throw invalid(
      'AMBIGUOUS_DATES',
      `The dates of this file could be two days each, day first or month first (rows ${found.ambiguous.join(', ')}): send it again with dateOrder.`,
    );
  }
  throw invalid('MIXED_DATES', `The dates of this file are not all written alike (rows ${found.mixed.join(', ')}).`);
}
