/**
 * Writes rows in ClickHouse's RowBinary format (clickhouse.com/docs/interfaces/formats/RowBinary): columns one after
 * another, nothing between them. A fifth of the CPU of JSONEachRow on both sides.
 */
export interface RowWriter {
  readonly rows: number;
  readonly bytes: number;
  /** Columns encoded before, e.g. by `uuidBytes`. */
  raw(bytes: Uint8Array): void;
  /** A canonical UUID, in either case. */
  uuid(text: string): void;
  nullableUuid(text: string | undefined): void;
  /** UInt64, Int64 or DateTime64 of a whole, non-negative number. */
  uint64(value: number): void;
  nullableUint64(value: number | null): void;
  /** UInt32, or Int32 and Date32 of a whole, non-negative number. */
  uint32(value: number): void;
  uint8(value: number): void;
  /** The length of an array; its elements follow. */
  length(value: number): void;
  /** UTF-8; a lone surrogate becomes U+FFFD. */
  string(text: string): void;
  endRow(): void;
  /** What was written, in order; the writer is empty afterwards. */
  take(): Buffer[];
}

const chunkBytes = 1024 * 1024;
/** Below this a loop over the characters beats a call into native code. */
const shortString = 48;

/** Where byte i of a UUID begins in its canonical text, in the order ClickHouse stores: two little-endian halves. */
const uuidPositions = Uint8Array.from([16, 14, 11, 9, 6, 4, 2, 0, 34, 32, 30, 28, 26, 24, 21, 19]);
const hexValues = Uint8Array.from({ length: 128 }, (_, code) => Number.parseInt(String.fromCharCode(code), 16) || 0);

function putUuid(text: string, into: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) {
    const position = uuidPositions[i]!;
    into[at + i] = (hexValues[text.charCodeAt(position)]! << 4) | hexValues[text.charCodeAt(position + 1)]!;
  }
}

/** UUID columns that many rows have in common: encoded once, then copied by `raw`. */
export function uuidBytes(...texts: string[]): Uint8Array {
  const bytes = new Uint8Array(16 * texts.length);
  for (const [i, text] of texts.entries()) putUuid(text, bytes, 16 * i);
  return bytes;
}

export function createRowWriter(): RowWriter {
  let full: Buffer[] = [];
  let fullBytes = 0;
  let chunk = Buffer.allocUnsafe(chunkBytes);
  let at = 0;
  let rows = 0;

  function flush(): void {
    if (at === 0) return;
    full.push(chunk.subarray(0, at));
    fullBytes += at;
    at = 0;
  }

  function reserve(bytes: number): void {
    if (at + bytes <= chunk.length) return;
    flush();
    chunk = Buffer.allocUnsafe(Math.max(chunkBytes, bytes));
  }

  function putLength(length: number): void {
    let rest = length;
    for (; rest > 0x7f; rest >>>= 7) chunk[at++] = (rest & 0x7f) | 0x80;
    chunk[at++] = rest;
  }

  /** True when the text was short ASCII and is written. */
  function putShort(text: string): boolean {
    const { length } = text;
    if (length > shortString) return false;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      chunk[at + 1 + i] = code;
    }
    chunk[at] = length;
    at += length + 1;
    return true;
  }

  return {
    get rows() {
      return rows;
    },
    get bytes() {
      return fullBytes + at;
    },
    raw(bytes) {
      reserve(bytes.length);
      for (let i = 0; i < bytes.length; i++) chunk[at + i] = bytes[i]!;
      at += bytes.length;
    },
    uuid(text) {
      reserve(16);
      putUuid(text, chunk, at);
      at += 16;
    },
    nullableUuid(text) {
      reserve(17);
      chunk[at++] = text === undefined ? 1 : 0;
      if (text === undefined) return;
      putUuid(text, chunk, at);
      at += 16;
    },
    uint64(value) {
      reserve(8);
      at = chunk.writeUInt32LE(value % 0x1_0000_0000, at);
      at = chunk.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at);
    },
    nullableUint64(value) {
      this.uint8(value === null ? 1 : 0);
      if (value !== null) this.uint64(value);
    },
    uint32(value) {
      reserve(4);
      at = chunk.writeUInt32LE(value, at);
    },
    uint8(value) {
      reserve(1);
      chunk[at++] = value;
    },
    length(value) {
      reserve(5);
      putLength(value);
    },
    string(text) {
      // At most three bytes a UTF-16 unit, and five for the length.
      reserve(text.length * 3 + 5);
      if (putShort(text)) return;
      putLength(Buffer.byteLength(text));
      at += chunk.write(text, at);
    },
    endRow() {
      rows++;
    },
    take() {
      flush();
      const taken = full;
      full = [];
      fullBytes = 0;
      rows = 0;
      chunk = Buffer.allocUnsafe(chunkBytes);
      return taken;
    },
  };
}
