import { invalid } from '@worktide/runtime';

/** An element of `entries`, with the bytes that it came in; without a value where it is too large to be looked at. */
export interface ScannedEntry {
  index: number;
  bytes: number;
  value?: unknown;
}

export interface EntryScanner {
  /** The next piece of the body. @throws AppError 400 `INVALID_JSON`, `MISSING_ENTRIES`, `TOO_MUCH_BESIDES`, when it gets there. */
  push(piece: Buffer): Generator<ScannedEntry>;
  /** There are no more pieces. @throws as `push`. */
  end(): void;
}

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];
const [space, tab, newline, carriageReturn] = [0x20, 0x09, 0x0a, 0x0d];
const byteOrderMark = [0xef, 0xbb, 0xbf];

const isBlank = (byte: number): boolean =>
  byte === space || byte === newline || byte === carriageReturn || byte === tab;
const isClosing = (byte: number): boolean => byte === closeList || byte === closeObject;

/** What comes next outside of keys and values. */
type Place =
  | 'object'
  | 'key or end'
  | 'key'
  | 'colon'
  | 'value'
  | 'comma'
  | 'entry or end'
  | 'entry'
  | 'entries comma'
  | 'nothing';

/**
 * Reads `{"entries": […]}` as it comes, and keeps no more of it than one entry. It finds where keys and values begin and
 * end by quotes and brackets (UTF-8 has these bytes nowhere else); each is then parsed as what it is. Tokenizers of libraries
 * keep a string of any length (decision 0014).
 * @param maxBytes of one entry, or of what else stands beside them; what is larger is passed over unread.
 */
export function createEntryScanner(maxBytes: number): EntryScanner {
  let place: Place = 'object';
  /** What is being read, where it is a key or value. */
  let reading: 'key' | 'value' | 'entry' | undefined;
  /** Bytes of the body before the present piece. */
  let before = 0;
  let markLeft = byteOrderMark;
  let key: unknown;
  let isThere = false;
  let index = 0;
  /** What has come beside the entries. */
  let besides = 0;

  let depth = 0;
  let inString = false;
  let escaped = false;
  let isScalar = false;
  let startedAt = 0;
  /** What has come of it in earlier pieces: so many bytes, of which `kept` has those that fit. */
  let size = 0;
  let kept = Buffer.alloc(0);

  const wrong = (at: number, more = ''): Error => {
    const where = place.startsWith('entr') ? ` (entries[${index}])` : '';
    return invalid('INVALID_JSON', `The body is not valid JSON at byte ${at}${where}${more}.`);
  };

  function begin(what: typeof reading, byte: number, at: number): void {
    if (what === 'key' ? byte !== quote : byte === comma || byte === colon || isClosing(byte)) throw wrong(at);
    reading = what;
    startedAt = at;
    size = 0;
    depth = 0;
    inString = escaped = isScalar = false;
    isScalar = byte !== quote && byte !== openObject && byte !== openList;
  }

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

  /** Behind its last byte; -1 where it goes on in the next piece. */
  function endIn(piece: Buffer, from: number): number {
    for (let at = from; at < piece.length; at++) {
      const byte = piece[at]!;
      if (inString) {
        at = closingQuote(piece, at);
        if (at < 0) return -1;
        inString = false;
        if (depth === 0) return at + 1;
      } else if (isScalar) {
        if (byte === comma || isClosing(byte) || isBlank(byte)) return at;
      } else if (byte === quote) inString = true;
      else if (byte === openObject || byte === openList) depth++;
      else if (isClosing(byte) && --depth === 0) return at + 1;
    }
    return -1;
  }

  function keep(piece: Buffer, from: number, to: number): void {
    const length = to - from;
    if (size + length <= maxBytes) {
      if (kept.length < size + length) {
        const larger = Buffer.allocUnsafe(Math.min(maxBytes, 2 * (size + length)));
        kept.copy(larger, 0, 0, size);
        kept = larger;
      }
      piece.copy(kept, size, from, to);
    }
    size += length;
  }

  /** Of what ends in this piece; undefined where it is too large. */
  function parse(piece: Buffer, from: number, to: number): { value: unknown } | undefined {
    let text: string;
    if (size === 0 && to - from <= maxBytes) text = piece.toString('utf8', from, to);
    else {
      keep(piece, from, to);
      if (size > maxBytes) return undefined;
      text = kept.toString('utf8', 0, size);
    }
    try {
      return { value: JSON.parse(text) };
    } catch {
      throw wrong(startedAt, ' or within what begins there');
    }
  }

  /** A key or value has ended. */
  function* ended(piece: Buffer, from: number, to: number): Generator<ScannedEntry> {
    const bytes = size + to - from;
    const parsed = parse(piece, from, to);
    if (reading !== 'entry') {
      besides += bytes + memberBytes;
      if (besides > maxBesides) throw tooMuchBesides();
    }
    if (reading === 'key') {
      if (!parsed) throw wrong(startedAt);
      key = parsed.value;
      place = 'colon';
    } else if (reading === 'value') {
      if (key === 'entries') throw missing();
      place = 'comma';
    } else {
      place = 'entries comma';
      yield { index, bytes, ...parsed };
      index++;
    }
    reading = undefined;
  }

  /** A byte outside of keys and values. */
  function step(byte: number, at: number): void {
    if (place === 'object') place = opening(byte, at);
    else if (byte === closeObject && (place === 'key or end' || place === 'comma')) place = 'nothing';
    else if (byte === closeList && (place === 'entry or end' || place === 'entries comma')) place = 'comma';
    else if (byte === comma && place === 'comma') place = 'key';
    else if (byte === comma && place === 'entries comma') place = 'entry';
    else if (byte === colon && place === 'colon') place = 'value';
    else if (place === 'key' || place === 'key or end') begin('key', byte, at);
    else if (place === 'entry' || place === 'entry or end') begin('entry', byte, at);
    else if (place !== 'value') throw wrong(at);
    else if (key !== 'entries' || byte !== openList) begin('value', byte, at);
    // Which of two holds is a matter of taste, and that is not for entries.
    else if (isThere) throw invalid('INVALID_JSON', `entries stands there twice, at byte ${at} again.`);
    else {
      isThere = true;
      place = 'entry or end';
    }
  }

  /** Before it there may be a byte order mark, which some systems put before all text that they write. */
  function opening(byte: number, at: number): Place {
    if (byte === markLeft[0]) {
      markLeft = markLeft.slice(1);
      return 'object';
    }
    if (byte === openObject && markLeft.length % byteOrderMark.length === 0) return 'key or end';
    if (byte === openList) throw missing();
    throw wrong(at);
  }

  return {
    *push(piece) {
      for (let at = 0; at < piece.length; ) {
        if (!reading) {
          const byte = piece[at]!;
          if (!isBlank(byte)) step(byte, before + at);
          if (!reading) at++;
          continue;
        }
        const to = endIn(piece, at);
        if (to < 0) {
          keep(piece, at, piece.length);
          break;
        }
        yield* ended(piece, at, to);
        at = to;
      }
      before += piece.length;
    },
    end() {
      if (place !== 'nothing') throw wrong(before);
      if (!isThere) throw missing();
    },
  };
}

/** Beside the entries there is nothing to be said that is looked at. */
const maxBesides = 65_536;
/** What a key or value costs, however short. */
const memberBytes = 64;
const tooMuchBesides = () => invalid('TOO_MUCH_BESIDES', `Beside entries there are at most ${maxBesides} bytes.`);

const missing = () => invalid('MISSING_ENTRIES', 'The body is {"entries": [an entry, …]}.');
