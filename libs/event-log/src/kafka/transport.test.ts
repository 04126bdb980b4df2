import { expect, test } from '@jest/globals';
import { assertAnswered } from './transport.ts';

const asked = new Map([
  ['a', new Set([0, 1])],
  ['b', new Set([0])],
]);
const answer = (topicName: string, partition: number, more = {}) => ({
  topicName,
  partition,
  errorCode: 0,
  baseOffset: '0',
  ...more,
});

test('acknowledged is what has an offset on every partition', () => {
  assertAnswered(asked, [answer('b', 0), answer('a', 1), answer('a', 0), answer('a', 2)]);
});

test.each([
  ['a partition is missing', []],
  ['a partition of another topic', [answer('c', 0)]],
  ['an error', [answer('b', 0, { errorCode: 6 })]],
  ['no offset', [answer('b', 0, { baseOffset: '-1' })]],
  ['an offset left out', [answer('b', 0, { baseOffset: undefined })]],
])('not acknowledged: %s', (_what, ofB) => {
  expect(() => assertAnswered(asked, [answer('a', 0), answer('a', 1), ...ofB])).toThrow(
    'no offset for partitions 0 of b',
  );
});
