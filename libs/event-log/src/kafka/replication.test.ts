import { expect, test } from '@jest/globals';
import { copiesFor } from './replication.ts';

test.each([
  [1, {}, { replication: 1, minInsync: 1 }],
  [2, {}, { replication: 2, minInsync: 1 }],
  [3, {}, { replication: 3, minInsync: 2 }],
  [7, {}, { replication: 3, minInsync: 2 }],
  [7, { replication: 5 }, { replication: 5, minInsync: 3 }],
  [3, { replication: 1 }, { replication: 1, minInsync: 1 }],
  [3, { minInsync: 1 }, { replication: 3, minInsync: 1 }],
  [3, { replication: 2, minInsync: 2 }, { replication: 2, minInsync: 2 }],
])('%d brokers, asked for %j: %j', (brokers, asked, copies) => {
  expect(copiesFor(brokers, asked)).toEqual(copies);
});

test.each([
  ['more in sync than copies', 3, { replication: 2, minInsync: 3 }, 'BAD_CONFIGURATION'],
  ['more in sync than brokers can have', 1, { minInsync: 2 }, 'BAD_CONFIGURATION'],
  ['more copies than brokers', 2, { replication: 3 }, 'DEPENDENCY_UNAVAILABLE'],
])('refused: %s', (_what, brokers, asked, code) => {
  expect(() => copiesFor(brokers, asked)).toThrow(expect.objectContaining({ code }));
});
