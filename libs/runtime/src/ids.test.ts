import { expect, test } from '@jest/globals';
import { derivedUuid, ownedUuid, ownedUuidTime, uuidv7 } from './ids.ts';

test('an owned id is a UUIDv7 that its owner alone takes for theirs', () => {
  const id = ownedUuid('o/a', 1_700_000_000_123);
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(ownedUuidTime(id, 'o/a')).toBe(1_700_000_000_123);
  expect(ownedUuidTime(id.toUpperCase(), 'o/a')).toBe(1_700_000_000_123);
  expect(ownedUuidTime(id, 'o/b')).toBeUndefined();
  for (const other of [uuidv7(), derivedUuid('a'), 'x', '']) expect(ownedUuidTime(other, 'o/a')).toBeUndefined();
  expect(new Set(Array.from({ length: 1_000 }, () => ownedUuid('o/a', 1))).size).toBe(1_000);
});
