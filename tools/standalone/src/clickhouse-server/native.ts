import { ClickHouseError, errorCodes } from './errors.ts';

/** From this revision on a column says whether it is written in a way of its own. */
const withCustomSerialization = 54_454;

/** Bytes of one value, of types that have one width. */
const widths: Record<string, number> = {
  ...{ Int8: 1, UInt8: 1, Bool: 1, Enum8: 1, Int16: 2, UInt16: 2, Enum16: 2, Date: 2, Int32: 4, UInt32: 4, Float32: 4 },
  ...{
    Date32: 4,
    DateTime: 4,
    IPv4: 4,
    Decimal32: 4,
    Time: 4,
    BFloat16: 2,
    Nothing: 1,
    Int64: 8,
    UInt64: 8,
    Float64: 8,
  },
  ...{ DateTime64: 8, Time64: 8, Decimal64: 8, Int128: 16, UInt128: 16, UUID: 16, IPv6: 16, Decimal128: 16 },
  ...{ Int256: 32, UInt256: 32, Decimal256: 32 },
};

/** The arguments of a type: `K, V` of `Map(K, V)`; of named tuples without the names. */
function argumentsOf(type: string): string[] {
  const inner = type.slice(type.indexOf('(') + 1, -1);
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  let quote = '';
  for (let i = 0; i <= inner.length; i++) {
    const c = inner[i];
    if (quote) {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === "'" || c === '`') quote = c;
    else if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (c === undefined || (c === ',' && depth === 0)) {
      found.push(inner.slice(start, i).trim());
      start = i + 1;
    }
  }
  return found;
}

const withoutName = (element: string): string =>
  /^(?:`(?:[^`\\]|\\.)*`|[A-Za-z_]\w*) (?=[A-Z])(.+)$/s.exec(element)?.[1] ?? element;

const decimalWidth = (precision: number): number =>
  precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32;

class Reader {
  at = 0;
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.bytes.readUInt8(this.at++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  /** The bytes of a text. */
  text(): Buffer {
    const length = this.varint();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** Passes over a column: what begins it, then its values. */
  column(type: string, rows: number): void {
    if (rows === 0) return;
    this.prefix(type);
    this.skip(type, rows);
  }

  /** A version for every LowCardinality within. */
  private prefix(type: string): void {
    if (type.startsWith('LowCardinality(')) this.at += 8;
    else if (/^(Array|Map|Tuple|Nullable)\(/.test(type)) {
      for (const element of argumentsOf(type)) this.prefix(withoutName(element));
    }
  }

  /** Which keys there are, and for each row which of them. */
  private lowCardinality(of: string): void {
    const uint64 = (): bigint => {
      this.at += 8;
      return this.bytes.readBigUInt64LE(this.at - 8);
    };
    const keyWidth = 1 << Number(uint64() & 255n);
    this.skip(/^Nullable\((.+)\)$/s.exec(of)?.[1] ?? of, Number(uint64()));
    const rows = Number(uint64());
    this.at += rows * keyWidth;
  }

  private skip(type: string, rows: number): void {
    const name = /^\w+/.exec(type)?.[0] ?? '';
    if (rows === 0) return;
    const [first = '', second = ''] = argumentsOf(type);
    const total = (): number => {
      this.at += rows * 8;
      return Number(this.bytes.readBigUInt64LE(this.at - 8));
    };
    if (name === 'String') for (let i = 0; i < rows; i++) this.text();
    else if (name === 'FixedString') this.at += rows * Number(first);
    else if (name === 'Decimal') this.at += rows * decimalWidth(Number(first));
    else if (name === 'Nullable') {
      this.at += rows;
      this.skip(first, rows);
    } else if (name === 'LowCardinality') this.lowCardinality(first);
    else if (name === 'SimpleAggregateFunction') this.skip(second, rows);
    else if (name === 'Array') this.skip(first, total());
    else if (name === 'Map') {
      const pairs = total();
      this.skip(first, pairs);
      this.skip(second, pairs);
    } else if (name === 'Tuple') for (const element of argumentsOf(type)) this.skip(withoutName(element), rows);
    else {
      const width = name.startsWith('Interval') ? 8 : widths[name];
      if (width === undefined) {
        const message = `${name} cannot be written in format Native for this client`;
        throw new ClickHouseError(errorCodes.NOT_IMPLEMENTED, message);
      }
      this.at += rows * width;
    }
  }
}

/**
 * Blocks of format Native as a client reads them that names its revision (`client_protocol_version`): with the info of each block,
 * and what each column says of itself. The engine as a library knows no revisions and leaves both out.
 */
export function nativeFor(revision: number, source: Uint8Array): Buffer {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  const reader = new Reader(bytes);
  const parts: Buffer[] = [];
  // Not an overflow, no bucket, end.
  const info = Buffer.from([1, 0, 2, 255, 255, 255, 255, 0]);
  const plain = Buffer.from([0]);
  while (reader.at < bytes.length) {
    let from = reader.at;
    const columns = reader.varint();
    const rows = reader.varint();
    parts.push(info);
    for (let column = 0; column < columns; column++) {
      reader.text();
      const type = reader.text().toString();
      parts.push(bytes.subarray(from, reader.at));
      if (revision >= withCustomSerialization) parts.push(plain);
      from = reader.at;
      reader.column(type, rows);
    }
    parts.push(bytes.subarray(from, reader.at));
  }
  return Buffer.concat(parts);
}
