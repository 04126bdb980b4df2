import { createJsonValueReader, invalid, isJsonBlank, jsonBytes } from '@worktide/runtime';

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

const { comma, colon, openList, closeList, openObject, closeObject } = jsonBytes;
const byteOrderMark = [0xef, 0xbb, 0xbf];

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
 * Reads `{"entries": […]}` as it comes, and keeps no more of it than one entry.
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

  const reader = createJsonValueReader(maxBytes);

  const wrong = (at: number, more = ''): Error => {
    const where = place.startsWith('entr') ? ` (entries[${index}])` : '';
    return invalid('INVALID_JSON', `The body is not valid JSON at byte ${at}${where}${more}.`);
  };

  function begin(what: typeof reading, byte: number, at: number): void {
    if (!reader.canBegin(what === 'key' ? 'name' : 'value', byte)) throw wrong(at);
    reading = what;
    reader.begin(byte, at, maxBytes);
  }

  /** Of what ends in this piece; undefined where it is too large. */
  function parse(piece: Buffer, from: number, to: number): { value: unknown } | undefined {
    try {
      return reader.parse(piece, from, to);
    } catch {
      throw wrong(reader.startedAt, ' or within what begins there');
    }
  }

  /** A key or value has ended. */
  function* ended(piece: Buffer, from: number, to: number): Generator<ScannedEntry> {
    const bytes = reader.size + to - from;
    const parsed = parse(piece, from, to);
    if (reading !== 'entry') {
      besides += bytes + memberBytes;
      if (besides > maxBesides) throw tooMuchBesides();
    }
    if (reading === 'key') {
      if (!parsed) throw wrong(reader.startedAt);
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
          if (!isJsonBlank(byte)) step(byte, before + at);
          if (!reading) at++;
          continue;
        }
        const to = reader.endIn(piece, at);
        if (to < 0) {
          reader.keep(piece, at, piece.length);
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
