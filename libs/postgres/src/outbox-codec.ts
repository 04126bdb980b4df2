import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { AppError } from '@worktide/runtime';

/** One event as it will stand in the log. */
export interface OutboxEvent {
  topic: string;
  key: string;
  value: Buffer;
  /** Kept in memory and not in the row: what a sweep publishes of a dead process is in nobody's trace. */
  headers?: Record<string, string>;
}

/** No row is larger than this once unpacked: 64 MiB, far above what is written since rows are divided. */
const maxUnpackedBytes = 64 * 1024 * 1024;
/** A transaction that says more than this, unpacked, does so in several rows: each is held, packed and sent as a whole. */
const rowBytes = 8 * 1024 * 1024;

/** Bytes the events take unpacked. */
export function unpackedSize(events: readonly OutboxEvent[]): number {
  let size = 0;
  for (const event of events) size += sizeOf(event);
  return size;
}

const sizeOf = (event: OutboxEvent): number =>
  12 + Buffer.byteLength(event.topic) + Buffer.byteLength(event.key) + event.value.length;

/** The events in rows of at most `rowBytes`, in order; an event larger than that alone. */
export function rowsOf(events: readonly OutboxEvent[]): { events: OutboxEvent[]; bytes: number }[] {
  const rows: { events: OutboxEvent[]; bytes: number }[] = [];
  let row: { events: OutboxEvent[]; bytes: number } | undefined;
  for (const event of events) {
    const bytes = sizeOf(event);
    if (!row || row.bytes + bytes > rowBytes) {
      row = { events: [], bytes: 0 };
      rows.push(row);
    }
    row.events.push(event);
    row.bytes += bytes;
  }
  return rows;
}

/**
 * Per event topic, key, value, each a big-endian uint32 length and its bytes; the whole in one zstd frame, level 1:
 * a third of deflate's time for a better ratio on our events.
 */
export function packEvents(events: readonly OutboxEvent[]): Buffer {
  const plain = Buffer.allocUnsafe(unpackedSize(events));
  let at = 0;
  const text = (value: string): void => {
    const length = plain.write(value, at + 4, 'utf8');
    plain.writeUInt32BE(length, at);
    at += 4 + length;
  };
  for (const { topic, key, value } of events) {
    text(topic);
    text(key);
    plain.writeUInt32BE(value.length, at);
    value.copy(plain, at + 4);
    at += 4 + value.length;
  }
  return zstdCompressSync(plain, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}

/** @throws AppError `OUTBOX_ROW_UNREADABLE` for bytes that `packEvents` did not make. */
export function unpackEvents(packed: Buffer): OutboxEvent[] {
  try {
    const plain = zstdDecompressSync(packed, { maxOutputLength: maxUnpackedBytes });
    const events: OutboxEvent[] = [];
    let at = 0;
    const part = (): Buffer => {
      const length = plain.readUInt32BE(at);
      const bytes = plain.subarray(at + 4, at + 4 + length);
      if (bytes.length !== length) throw new RangeError('cut off');
      at += 4 + length;
      return bytes;
    };
    while (at < plain.length) {
      events.push({ topic: part().toString('utf8'), key: part().toString('utf8'), value: part() });
    }
    return events;
  } catch (error) {
    throw new AppError('OUTBOX_ROW_UNREADABLE', 'An outbox row cannot be read.', { cause: error });
  }
}
