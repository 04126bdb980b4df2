import type { StoredRecord } from './types.ts';

/**
 * What a record takes besides key and value once it is an object in memory (the object, its strings, its header map),
 * roughly; without it a limit in bytes would let millions of tiny records in.
 */
const recordOverheadBytes = 200;

/** Records of one partition, in order, as they were fetched together. */
interface Chunk {
  records: StoredRecord[];
  bytes: number;
  /** When it came in, on the monotonic clock, for the linger. */
  at: number;
}

/** Fetched records that wait to be handed over: first in, first out, cut by count or bytes. */
export interface RecordBuffer {
  push(records: StoredRecord[]): void;
  /** At least one record, unless empty. */
  take(maxRecords: number, maxBytes: number): StoredRecord[];
  /** Empties it and returns the records that were in it. */
  clear(): StoredRecord[];
  readonly count: number;
  readonly bytes: number;
  /** Monotonic time at which its oldest records came in. */
  readonly since: number;
}

const bytesOf = (record: StoredRecord): number => record.key.length + record.value.length + recordOverheadBytes;

export function createRecordBuffer(now: () => number = performance.now.bind(performance)): RecordBuffer {
  let chunks: Chunk[] = [];
  let count = 0;
  let bytes = 0;

  function remove(records: number, size: number): void {
    count -= records;
    bytes -= size;
  }

  /** Takes as many records off the chunk's front as fit. */
  function split(chunk: Chunk, maxRecords: number, maxBytes: number): StoredRecord[] {
    let size = 0;
    let n = 0;
    while (n < chunk.records.length && n < maxRecords) {
      const next = bytesOf(chunk.records[n]!);
      if (size + next > maxBytes) break;
      size += next;
      n++;
    }
    const taken = chunk.records.splice(0, n);
    chunk.bytes -= size;
    remove(n, size);
    return taken;
  }

  return {
    push(records) {
      if (records.length === 0) return;
      let size = 0;
      for (const record of records) size += bytesOf(record);
      chunks.push({ records, bytes: size, at: now() });
      count += records.length;
      bytes += size;
    },
    take(maxRecords, maxBytes) {
      const whole: StoredRecord[][] = [];
      let records = 0;
      let size = 0;
      let used = 0;
      for (const chunk of chunks) {
        if (records + chunk.records.length > maxRecords || size + chunk.bytes > maxBytes) break;
        whole.push(chunk.records);
        records += chunk.records.length;
        size += chunk.bytes;
        used++;
      }
      chunks.splice(0, used);
      remove(records, size);
      const next = chunks[0];
      if (next) {
        // One record larger than the limit still has to go, alone.
        const limit = records === 0 ? Math.max(maxBytes, bytesOf(next.records[0]!)) : maxBytes - size;
        const part = split(next, maxRecords - records, limit);
        if (part.length > 0) whole.push(part);
        if (next.records.length === 0) chunks.shift();
      }
      return whole.length === 1 ? whole[0]! : whole.flat();
    },
    clear() {
      const all = chunks.flatMap((chunk) => chunk.records);
      chunks = [];
      remove(count, bytes);
      return all;
    },
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    get since() {
      return chunks[0]?.at ?? now();
    },
  };
}
