import type { Row } from './columns.ts';

const newline = 10;

/** Rows out of lines of JSON that come in pieces, cut anywhere. */
export function createLines(): { add(chunk: Uint8Array): Row[] } {
  /** The beginning of a line whose end is not there yet. */
  let begun: Buffer[] = [];
  return {
    add(chunk) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      const end = bytes.lastIndexOf(newline);
      if (end < 0) {
        begun.push(bytes);
        return [];
      }
      const whole = bytes.subarray(0, end);
      const text = begun.length === 0 ? whole.toString() : Buffer.concat([...begun, whole]).toString();
      begun = end + 1 < bytes.length ? [bytes.subarray(end + 1)] : [];
      // One call for all of them is several times as fast as one for each.
      return JSON.parse(`[${text.replaceAll('\n', ',')}]`) as Row[];
    },
  };
}
