import { createJsonValueReader, invalid, isJsonBlank, jsonBytes } from '@worktide/runtime';

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

const { comma, colon, openList, closeList, openObject, closeObject } = jsonBytes;
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
 * keep what they have passed over, too.
 * @param maxBytes of one value; a larger one is given out without it.
 */
export function createJsonScanner(shape: Shape, maxBytes: number): JsonScanner {
  const frames: Frame[] = [];
  let isOver = false;
  let before = 0;
  let marks = 0;

  let reading: 'name' | 'take' | 'skip' | undefined;
  let path: readonly string[] = [];
  const reader = createJsonValueReader(Math.max(maxBytes, maxNameBytes));

  const wrong = (at: number): Error => invalid('MALFORMED_JSON', `The file is not valid JSON at byte ${at}.`);

  function begin(what: 'name' | 'take' | 'skip', byte: number, at: number): void {
    if (!reader.canBegin(what === 'name' ? 'name' : 'value', byte)) throw wrong(at);
    reading = what;
    reader.begin(byte, at, { name: maxNameBytes, take: maxBytes, skip: 0 }[what]);
  }

  /** Of what ends in this piece; undefined where it is too large. */
  function parse(piece: Buffer, from: number, to: number): { value: unknown } | undefined {
    try {
      return reader.parse(piece, from, to);
    } catch {
      throw wrong(reader.startedAt);
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
          if (isJsonBlank(byte) || step(byte, before + at)) at++;
          continue;
        }
        const to = reader.endIn(piece, at);
        if (to < 0) {
          reader.keep(piece, at, piece.length);
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
      if (reading && reader.isScalar && frames.length === 0) isOver = true;
      if (!isOver) throw wrong(before);
    },
  };
}
