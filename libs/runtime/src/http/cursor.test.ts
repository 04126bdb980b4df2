import { describe, expect, test } from '@jest/globals';
import { uuidv7 } from '../ids.ts';
import { openIdCursor, openTimedCursor, sealIdCursor, sealTimedCursor } from './cursor.ts';

const list = ['organization', null, 'todo'];
const refused = expect.objectContaining({ statusCode: 400, code: 'INVALID_CURSOR' });

describe('cursors', () => {
  test('give back the place they were made of', () => {
    const id = uuidv7();
    expect(openIdCursor(sealIdCursor(id, list), list)).toBe(id);
    for (const at of [0, Date.UTC(2026, 10, 21), Date.UTC(10_000, 0, 1) - 1]) {
      expect(openTimedCursor(sealTimedCursor({ at, id }, list), list)).toEqual({ at, id });
    }
  });

  test('of another list, altered, cut, longer, or of another kind are refused', () => {
    const cursor = sealTimedCursor({ at: 1, id: uuidv7() }, list);
    const altered = [...cursor].map(
      (_, i) => `${cursor.slice(0, i)}${cursor[i] === 'A' ? 'B' : 'A'}${cursor.slice(i + 1)}`,
    );
    for (const text of ['', 'x', ...altered, cursor.slice(0, -1), `${cursor}A`, `${cursor}=`]) {
      expect(() => openTimedCursor(text, list)).toThrow(refused);
    }
    for (const at of [-1, Date.UTC(10_000, 0, 1), Number.MAX_SAFE_INTEGER]) {
      expect(() => openTimedCursor(sealTimedCursor({ at, id: uuidv7() }, list), list)).toThrow(refused);
    }
    expect(() => openTimedCursor(cursor, ['another', null, 'todo'])).toThrow(refused);
    expect(() => openIdCursor(cursor, list)).toThrow(refused);
  });
});
