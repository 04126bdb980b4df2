import type { BatchContext, Consumer, EventLog, StoredRecord } from '@worktide/event-log';
import type { Identity } from '@worktide/identity';
import { checkPostgres } from '@worktide/postgres';
import type { Lifecycle, Metrics } from '@worktide/runtime';
import { type Codec, type ImportRecord, importRecord, readRecord, topics } from '@worktide/schemas';
import { untilAborted } from '../pings/consume.ts';
import { readPing, type StreamPings, spanOf } from '../pings/decode.ts';
import { type MergeOptions, mergePieces } from '../store/merge.ts';
import type { ApplyDependencies } from '../sync/apply.ts';
import { keptFrom } from '../timers/retention.ts';
import { applyImported, buryImported, type EntriesRecord } from './entries.ts';
import { type RemovedRecord, removeImport } from './remove.ts';

export const importsGroup = 'session-writer-imports';

/** Some thousand pings: one transaction, since nobody waits for history, and everybody for what is beside it. */
const maxBytes = 512 * 1024;

export interface ImportsOptions extends MergeOptions, ApplyDependencies {
  eventLog: Pick<EventLog, 'consume'>;
  /** Of topic `imports`, and of `import-outcomes`. */
  codec: Codec;
  outcomeCodec: Codec;
  identity: Pick<Identity, 'organization'>;
  onErasure: () => void;
  lifecycle: Lifecycle;
  metrics: Metrics;
}

/**
 * Follows topic `imports` for ever, one piece after the other: years of somebody's history take one connection and keep nobody
 * waiting. Offsets are committed after the database has what the records say.
 */
export function consumeImports(options: ImportsOptions): Promise<Consumer> {
  const { eventLog, pool, codec, outcomeCodec, usageCodec, entriesCodec } = options;
  return eventLog.consume({
    group: importsGroup,
    topics: [topics.imports.name],
    maxBytes,
    ready: () => Promise.all([codec, outcomeCodec, usageCodec, entriesCodec].map((each) => each.prepare())),
    answers: checkPostgres(pool),
    handle: createImportsHandler(options),
    // Whoever waits for the outcome of a part would wait for ever.
    deadLettered: (record) => buryImported(options, record),
  });
}

export function createImportsHandler(options: Omit<ImportsOptions, 'eventLog'>) {
  const { codec, identity, lifecycle, metrics, partitions, now = Date.now } = options;
  const merged = metrics.counter(
    'worktide_writer_imported_pings_total',
    'Pings of imports that were folded into entries',
  );
  const entries = metrics.counter(
    'worktide_writer_imported_entries_total',
    'Time entries of imports, by what became of them',
    ['outcome'],
  );
  const removed = metrics.counter('worktide_writer_imports_removed_total', 'Imports that were taken out, by person');

  async function merge(streams: readonly StreamPings[]): Promise<void> {
    for await (const outcome of mergePieces(options, streams)) {
      await untilAborted(outcome.published, lifecycle.signal);
      lifecycle.signal.throwIfAborted();
    }
    merged.inc(streams.reduce((sum, { pings }) => sum + pings.length, 0));
  }

  return async function handle(batch: StoredRecord[], context: BatchContext): Promise<void> {
    let streams = new Map<string, StreamPings>();
    const flush = async (): Promise<void> => {
      if (streams.size > 0) await merge([...streams.values()]);
      streams = new Map();
    };
    for (const record of batch) {
      lifecycle.signal.throwIfAborted();
      const read = readImport(record, codec, partitions.horizon());
      if ('unusable' in read) {
        context.deadLetter(record, read.unusable);
        continue;
      }
      const { data } = read;
      if (data.what.type === 'pings') {
        collect(streams, data, data.what.pings);
        continue;
      }
      await flush();
      if (data.what.type === 'removed') {
        const gone = await removeImport(options, data as RemovedRecord);
        entries.inc({ outcome: 'removed' }, gone);
        removed.inc();
        continue;
      }
      const settings = (await identity.organization(data.organizationId))?.settings;
      const applied = await applyImported(options, data as EntriesRecord, { keptFrom: keptFrom(settings, now()) });
      if (!applied) continue;
      const { created, skipped, conflicts } = applied.outcome;
      entries.inc({ outcome: 'created' }, created);
      entries.inc({ outcome: 'skipped' }, skipped);
      entries.inc({ outcome: 'conflict' }, conflicts.length);
      await untilAborted(applied.published, lifecycle.signal);
    }
    await flush();
  };
}

function readImport(record: StoredRecord, codec: Codec, latest: number) {
  const read = readRecord(codec, record.value, importRecord);
  if ('unusable' in read || read.data.what.type !== 'pings') return read;
  for (const ping of read.data.what.pings) {
    const checked = readPing(ping, latest);
    if ('reason' in checked) return { unusable: checked.reason };
  }
  return read;
}

function collect(
  streams: Map<string, StreamPings>,
  { organizationId, userId }: ImportRecord,
  pings: Parameters<typeof spanOf>[0][],
): void {
  for (const ping of pings) {
    const { deviceId, source } = ping;
    const name = `${organizationId}${userId}${deviceId.length} ${deviceId}${source}`;
    const stream = streams.get(name) ?? { stream: { organizationId, userId, deviceId, source }, pings: [] };
    streams.set(name, stream);
    stream.pings.push(spanOf(ping, stream.pings.at(-1)?.key));
  }
}
