import { invalid } from '@worktide/runtime';

/**
 * What of a document is looked at: `take` is parsed and given out, `skip` is passed over unread, and of what has parts the parts are.
 * A value that is not what its shape says is passed over.
 */
export type Shape = 'take' | 'skip' | { each: Shape } | { members: Readonly<Record<string, Shape>>; others?: Shape };

export interface Found {
  /** Names that lead to it; places in lists are not among them. */
  path: readonly string[];
  /** Without one it is larger than may be kept. */
  value?: unknown;
}

export interface JsonScanner {
  /** What the next piece brings. @throws AppError 400 `MALFORMED_JSON` when it gets there. */
  push(piece: Buffer): Found[];
  /** There are no more pieces. @throws as `push`. */
  end(): void;
}

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const isClosing = (byte: number): boolean => byte === closeList || byte === closeObject;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** A name of a member; longer ones lead nowhere. */
const maxNameBytes = 2_048;

interface Frame {
  isList: boolean;
  shape: Exclude<Shape, string>;
  path: readonly string[];
  /** What comes next in it: a name, what stands behind a name, a value, or what stands behind a value. */
  next: 'first' | 'name' | 'colon' | 'value' | 'behind';
  name: string;
}

/**
 * Reads a document as it comes and holds no more of it than one value that is taken, whatever stands in it: tokenizers of libraries
 * keep a string of any length, and what they have passed over (decision 0014). Where names and values begin and end is told by quotes
 * and brackets, which UTF-8 has nowhere else; each is then parsed as what it is.
 * @param maxBytes of one value; a larger one is given out without it.
 */
export function createJsonScanner(shape: Shape, maxBytes: number): JsonScanner {
  const frames: Frame[] = [];
  let isOver = false;
  let before = 0;
  let marks = 0;

  let reading: 'name' | 'take' | 'skip' | undefined;
  let path: readonly string[] = [];
  let depth = 0;
  let inString = false;
  let escaped = false;
  let isScalar = false;
  let startedAt = 0;
  /** What has come of it in earlier pieces: so many bytes, of which `kept` has those that fit. */
  let size = 0;
  let kept: Buffer = Buffer.alloc(0);

  const wrong = (at: number): Error => invalid('MALFORMED_JSON', `The file is not valid JSON at byte ${at}.`);

  function begin(what: typeof reading, byte: number, at: number): void {
    if (what === 'name' ? byte !== quote : byte === comma || byte === colon || isClosing(byte)) throw wrong(at);
    reading = what;
    startedAt = at;
    size = 0;
    depth = 0;
    inString = escaped = false;
    isScalar = byte !== quote && byte !== openObject && byte !== openList;
  }

  /** Of the string that goes on here; -1 where it is in a later piece. Most of a file is text, and is looked at by the runtime. */
  function closingQuote(piece: Buffer, from: number): number {
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
    const most = reading === 'name' ? maxNameBytes : maxBytes;
    if (reading !== 'skip' && size + length <= most) {
      if (kept.length < size + length) {
        const larger = Buffer.allocUnsafe(Math.min(Math.max(maxBytes, maxNameBytes), 2 * (size + length)));
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
    const most = reading === 'name' ? maxNameBytes : maxBytes;
    if (size === 0) {
      if (to - from > most) return undefined;
      text = piece.toString('utf8', from, to);
    } else {
      keep(piece, from, to);
      if (size > most) return undefined;
      text = kept.toString('utf8', 0, size);
    }
    try {
      return { value: JSON.parse(text) };
    } catch {
      throw wrong(startedAt);
    }
  }

  function shapeAt(frame: Frame | undefined): Shape {
    if (!frame) return shape;
    if ('each' in frame.shape) return frame.shape.each;
    const { members, others = 'skip' } = frame.shape;
    return Object.hasOwn(members, frame.name) ? members[frame.name]! : others;
  }

  /** A value begins here: it is entered, or read to its end. @returns whether the byte was used. */
  function value(byte: number, at: number, frame: Frame | undefined): boolean {
    const wanted = shapeAt(frame);
    const here = frame && !frame.isList ? [...frame.path, frame.name] : (frame?.path ?? []);
    if (typeof wanted !== 'string' && byte === ('each' in wanted ? openList : openObject)) {
      frames.push({ isList: 'each' in wanted, shape: wanted, path: here, next: 'first', name: '' });
      return true;
    }
    path = here;
    begin(wanted === 'take' ? 'take' : 'skip', byte, at);
    return false;
  }

  function behind(at: number): void {
    const frame = frames.at(-1);
    if (frame) frame.next = 'behind';
    else if (isOver) throw wrong(at);
    else isOver = true;
  }

  /** A byte outside of names and values. @returns whether it was used. */
  function step(byte: number, at: number): boolean {
    const frame = frames.at(-1);
    if (!frame) {
      if (isOver) throw wrong(at);
      if (marks < byteOrderMark.length && at === marks && byte === byteOrderMark[marks]) {
        marks++;
        return true;
      }
      return value(byte, at, undefined);
    }
    const closes = frame.isList ? closeList : closeObject;
    if (byte === closes && (frame.next === 'first' || frame.next === 'behind')) {
      frames.pop();
      behind(at);
      return true;
    }
    if (frame.next === 'behind') {
      if (byte !== comma) throw wrong(at);
      frame.next = frame.isList ? 'value' : 'name';
      return true;
    }
    if (frame.next === 'colon') {
      if (byte !== colon) throw wrong(at);
      frame.next = 'value';
      return true;
    }
    if (frame.isList || frame.next === 'value') return value(byte, at, frame);
    begin('name', byte, at);
    return false;
  }

  function ended(piece: Buffer, from: number, to: number, found: Found[]): void {
    const what = reading;
    const parsed = what === 'skip' ? undefined : parse(piece, from, to);
    reading = undefined;
    if (what === 'name') {
      const frame = frames.at(-1)!;
      // What is longer than any name that means something means nothing.
      frame.name = parsed ? (parsed.value as string) : '';
      frame.next = 'colon';
      return;
    }
    if (what === 'take') found.push({ path, ...parsed });
    behind(to);
  }

  return {
    push(piece) {
      const found: Found[] = [];
      for (let at = 0; at < piece.length; ) {
        if (!reading) {
          const byte = piece[at]!;
          if (isBlank(byte) || step(byte, before + at)) at++;
          continue;
        }
        const to = endIn(piece, at);
        if (to < 0) {
          keep(piece, at, piece.length);
          break;
        }
        ended(piece, at, to, found);
        at = to;
      }
      before += piece.length;
      return found;
    },
    end() {
      // A number at the very end has nothing behind it.
      if (reading && isScalar && frames.length === 0) isOver = true;
      if (!isOver) throw wrong(before);
    },
  };
}
