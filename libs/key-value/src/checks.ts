import { invalid } from '@worktide/runtime';
import { maxKeyLength, maxMemberLength, maxValueBytes } from './types.ts';

/** The same refusals whichever store is behind. */
export function checkKey(key: string): void {
  if (key === '' || key.length > maxKeyLength) {
    throw invalid('KEY_VALUE_TOO_LARGE', `A key has 1 to ${maxKeyLength} characters.`);
  }
}

export function checkValue(value: string): void {
  if (Buffer.byteLength(value) > maxValueBytes) {
    throw invalid('KEY_VALUE_TOO_LARGE', `A value has at most ${maxValueBytes} bytes.`);
  }
}

/** Redis counts in whole milliseconds, from 1. */
export function checkTtl(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1) throw new RangeError(`ttlMs must be a whole number from 1: ${ttlMs}`);
}

export function checkBy(by: number): void {
  if (!Number.isSafeInteger(by)) throw new RangeError(`by must be a whole number: ${by}`);
}

export function checkMember(member: string): void {
  if (!/^[\w-]+$/.test(member) || member.length > maxMemberLength) {
    throw new RangeError(`a member is 1 to ${maxMemberLength} of A-Z, a-z, 0-9, - and _`);
  }
}

export const notACounter = () => invalid('NOT_A_COUNTER', 'The value under this key is not a whole number.');
