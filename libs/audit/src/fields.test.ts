import { describe, expect, test } from '@jest/globals';
import { auditChange, auditFields } from './fields.ts';

describe('fields of an audit event', () => {
  test('secrets are taken out by name, at any depth', () => {
    const fields = auditFields({
      name: 'Ada',
      password: 'x',
      passwordHash: 'x',
      refreshToken: 'x',
      nested: { apiKey: 'x', agent_key: 'x', list: [{ secret: 'x', kept: 1 }] },
      bytes: Buffer.from('x'),
      keyboardClicks: 3,
    });
    expect(fields).toEqual({
      name: 'Ada',
      password: '[removed]',
      passwordHash: '[removed]',
      refreshToken: '[removed]',
      nested: { apiKey: '[removed]', agent_key: '[removed]', list: [{ secret: '[removed]', kept: 1 }] },
      bytes: '[removed]',
      keyboardClicks: 3,
    });
  });

  test('long text is cut, and a huge object keeps the names of its fields', () => {
    const { text } = auditFields({ text: 'x'.repeat(5_000) }) as { text: string };
    expect(text).toHaveLength(1_001);
    const huge = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, 'x'.repeat(900)]));
    expect(auditFields(huge)).toEqual({ tooLarge: true, fields: Object.keys(huge) });
  });

  test('nothing is null', () => {
    expect(auditFields(null)).toBeNull();
    expect(auditFields(undefined)).toBeNull();
  });

  test('a change is the fields that differ', () => {
    const before = { id: 1, role: 'admin', settings: { a: 1 }, gone: true };
    const after = { id: 1, role: 'manager', settings: { a: 2 }, gone: undefined };
    expect(auditChange<object>(before, after)).toEqual({
      before: { role: 'admin', settings: { a: 1 }, gone: true },
      after: { role: 'manager', settings: { a: 2 }, gone: undefined },
    });
  });
});
