/** Bytes that JSON is made of outside of strings; UTF-8 has them nowhere else. */
export const jsonBytes = {
  quote: 0x22,
  comma: 0x2c,
  colon: 0x3a,
  openList: 0x5b,
  closeList: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

const { quote, comma, colon, openList, closeList, openObject, closeObject } = jsonBytes;
const backslash = 0x5c;

export const isJsonBlank = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const isClosing = (byte: number): boolean => byte === closeList || byte === closeObject;

/** One name or value of a document that comes in pieces, after the other. */
export interface JsonValueReader {
  /** Whether one that begins with this byte can be there: a name, or any value. */
  canBegin(what: 'name' | 'value', byte: number): boolean;
  /** One begins, of which no more than `most` bytes are kept: what is larger is passed over unread. */
  begin(byte: number, at: number, most: number): void;
  /** @returns the index behind its last byte; -1 where it goes on in the next piece. */
  endIn(piece: Buffer, from: number): number;
  /** Remembers a part of it that is not its last. */
  keep(piece: Buffer, from: number, to: number): void;
  /** It ends in this piece. @returns nothing where it is too large. @throws SyntaxError. */
  parse(piece: Buffer, from: number, to: number): { value: unknown } | undefined;
  /** Where in the document it began. */
  readonly startedAt: number;
  /** Bytes of it in earlier pieces. */
  readonly size: number;
  /** Whether it is no string, list or object: nothing of its own tells its end. */
  readonly isScalar: boolean;
}

/**
 * Where a name or value begins and ends is told by quotes and brackets; it is then parsed as what it is. Tokenizers of libraries keep a
 * string of any length (decision 0014).
 * @param largest the most that `begin` is ever told.
 */
export function createJsonValueReader(largest: number): JsonValueReader {
  let most = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;
  let isScalar = false;
  let startedAt = 0;
  /** What has come of it in earlier pieces: so many bytes, of which `kept` has those that fit. */
  let size = 0;
  let kept: Buffer = Buffer.alloc(0);

  /** Of the string that goes on here; -1 where it is in a later piece. Most of a body is text, and is looked at by the runtime. */
  function closingQuote(piece: Buffer, from: number): number {
    // What an escape at the end of the last piece means.
    let start = escaped ? from + 1 : from;
    escaped = false;
    for (;;) {
      const found = piece.indexOf(quote, start);
      const end = found < 0 ? piece.length : found;
      let first = end;
      while (first > start && piece[first - 1] === backslash) first--;
      const isEscaped = (end - first) % 2 === 1;
      if (found < 0) {
        escaped = isEscaped;
        return -1;
      }
      if (!isEscaped) return found;
      start = found + 1;
    }
  }

  function keep(piece: Buffer, from: number, to: number): void {
    const length = to - from;
    if (size + length <= most) {
      if (kept.length < size + length) {
        const larger = Buffer.allocUnsafe(Math.min(largest, 2 * (size + length)));
        kept.copy(larger, 0, 0, size);
        kept = larger;
      }
      piece.copy(kept, size, from, to);
    }
    size += length;
  }

  return {
    canBegin: (what, byte) => (what === 'name' ? byte === quote : byte !== comma && byte !== colon && !isClosing(byte)),
    begin(byte, at, bytes) {
      most = bytes;
      startedAt = at;
      size = 0;
      depth = 0;
      inString = escaped = false;
      isScalar = byte !== quote && byte !== openObject && byte !== openList;
    },
    endIn(piece, from) {
      for (let at = from; at < piece.length; at++) {
        const byte = piece[at]!;
        if (inString) {
          at = closingQuote(piece, at);
          if (at < 0) return -1;
          inString = false;
          if (depth === 0) return at + 1;
        } else if (isScalar) {
          if (byte === comma || isClosing(byte) || isJsonBlank(byte)) return at;
        } else if (byte === quote) inString = true;
        else if (byte === openObject || byte === openList) depth++;
        else if (isClosing(byte) && --depth === 0) return at + 1;
      }
      return -1;
    },
    keep,
    parse(piece, from, to) {
      if (size + to - from > most) {
        size += to - from;
        return undefined;
      }
      if (size === 0) return { value: JSON.parse(piece.toString('utf8', from, to)) };
      keep(piece, from, to);
      return { value: JSON.parse(kept.toString('utf8', 0, size)) };
    },
    get startedAt() {
      return startedAt;
    },
    get size() {
      return size;
    },
    get isScalar() {
      return isScalar;
    },
  };
}
