import { expect, test } from '@jest/globals';
import { bearerOf, isAgentKey } from './credential.ts';

test.each(['Bearer abc', 'bearer abc', 'BEARER  abc '])('%j carries a credential', (header) => {
  expect(bearerOf(header)).toBe('abc');
});

test.each([
  ['nothing', undefined],
  ['empty', ''],
  ['the scheme alone', 'Bearer'],
  ['the scheme and a space', 'Bearer '],
  ['another scheme', 'Basic YTpi'],
  ['no scheme', 'abc'],
  ['5,000 characters', `Bearer ${'x'.repeat(5_000)}`],
])('%s is 401', (_name, header) => {
  expect(() => bearerOf(header)).toThrow(expect.objectContaining({ statusCode: 401 }));
});

test('agent keys are told by their form', () => {
  expect(isAgentKey('waka_123e4567-e89b-42d3-a456-426614174000')).toBe(true);
  expect(isAgentKey('waka_123e4567-e89b-12d3-a456-426614174000')).toBe(false);
  expect(isAgentKey('waka_123e4567-e89b-42d3-a456-426614174000x')).toBe(false);
  expect(isAgentKey('eyJhbGciOiJFZERTQSJ9.e30.x')).toBe(false);
});
