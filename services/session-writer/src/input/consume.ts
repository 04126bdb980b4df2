import type { BatchContext, Consumer, DeadLetterReason, EventLog, StoredRecord } from '@worktide/event-log';
import { checkPostgres, type Pool, transaction } from '@worktide/postgres';
import { isStorable, type Metrics } from '@worktide/runtime';
import {
  type Codec,
  firstIssue,
  type InputMinuteEvent,
  inputMinuteEvent,
  inputMinutesEnvelope,
  readRecord,
  splitBy,
  topics,
} from '@worktide/schemas';
import type { Partitions } from '../store/partitions.ts';
import { type CountedMinute, storeMinutes } from './store.ts';

export const inputGroup = 'session-writer-input';

/** Fleets' minutes trickle in one by one: a few transactions a second instead of one for each. */
const lingerMs = 250;
const maxRecords = 10_000;
/** No clock and no store goes further. */
const latest = Date.UTC(9999, 11, 31);
/** Rows of one statement. */
const rowsAtOnce = 5_000;

export interface InputOptions {
  eventLog: EventLog;
  pool: Pool;
  /** Of topic `input-minutes`. */
  codec: Codec;
  /** Counts are kept as long as usage. */
  partitions: Pick<Partitions, 'keptFrom'>;
  metrics: Metrics;
}

/** Follows topic `input-minutes` for ever. Offsets are committed after the database has the counts. */
export function consumeInput(options: InputOptions): Promise<Consumer> {
  const { eventLog, pool, codec } = options;
  return eventLog.consume({
    group: inputGroup,
    topics: [topics['input-minutes'].name],
    lingerMs,
    maxRecords,
    ready: () => codec.prepare(),
    answers: checkPostgres(pool),
    split: splitBy('minutes'),
    handle: createInputHandler(options),
  });
}

/** One batch: of each device and minute the greater of each count that the batch has, and that is stored. */
export function createInputHandler({ pool, codec, partitions, metrics }: Omit<InputOptions, 'eventLog'>) {
  const stored = metrics.counter(
    'worktide_writer_input_minutes_total',
    'Counts of minutes new or raised in the database',
  );
  const letGo = metrics.counter(
    'worktide_writer_input_minutes_let_go_total',
    'Counts of minutes of months that retention has dropped',
  );
  const refused = metrics.counter('worktide_writer_input_minutes_refused_total', 'Dead-lettered counts of minutes', [
    'code',
  ]);

  return async function handle(batch: StoredRecord[], context: BatchContext): Promise<void> {
    const minutes = new Map<string, CountedMinute>();
    const keptFrom = partitions.keptFrom();
    const refuse = (record: StoredRecord, reason: DeadLetterReason, value?: () => Buffer): void => {
      context.deadLetter(record, reason, value);
      refused.inc({ code: reason.code });
    };
    for (const record of batch) {
      const read = readRecord(codec, record.value, inputMinutesEnvelope);
      if ('unusable' in read) {
        refuse(record, read.unusable);
        continue;
      }
      const envelope = read.data;
      // Hex digits come in two cases.
      const organizationId = envelope.organizationId.toLowerCase();
      const userId = envelope.userId.toLowerCase();
      for (const value of envelope.minutes) {
        const minute = readMinute(value);
        if ('code' in minute) refuse(record, minute, () => codec.encode({ ...envelope, minutes: [value] }));
        else if (minute.minute < keptFrom) letGo.inc();
        else raise(minutes, { organizationId, userId, ...minute });
      }
    }
    const inOrder = [...minutes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, minute]) => minute);
    for (let from = 0; from < inOrder.length; from += rowsAtOnce) {
      const rows = inOrder.slice(from, from + rowsAtOnce);
      stored.inc(await transaction(pool, (client) => storeMinutes(client, rows)));
    }
  };
}

function raise(minutes: Map<string, CountedMinute>, minute: CountedMinute): void {
  const { organizationId, userId, deviceId } = minute;
  // By a minute of fixed length the order of keys is that of the rows: all who write lock them in it.
  const key = `${organizationId}${userId}${String(minute.minute).padStart(16, '0')}${deviceId}`;
  const known = minutes.get(key);
  if (!known) {
    minutes.set(key, minute);
    return;
  }
  known.keyboardClicks = Math.max(known.keyboardClicks, minute.keyboardClicks);
  known.mouseMovements = Math.max(known.mouseMovements, minute.mouseMovements);
}

function readMinute(value: unknown): InputMinuteEvent | DeadLetterReason {
  const minute = inputMinuteEvent.safeParse(value);
  if (!minute.success) return { code: 'BAD_MINUTE', message: firstIssue(minute.error) };
  if (minute.data.minute % 60_000 !== 0) return { code: 'NOT_A_FULL_MINUTE', message: 'minute has seconds.' };
  if (minute.data.minute > latest) return { code: 'IN_FUTURE', message: 'An instant is thousands of years ahead.' };
  if (!isStorable(minute.data.deviceId)) {
    return { code: 'INVALID_TEXT', message: 'deviceId holds U+0000 or half of a surrogate pair.' };
  }
  return minute.data;
}
