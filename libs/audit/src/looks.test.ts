import { expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { type AuditSource, systemSource } from './audit.ts';
import { createLooks } from './looks.ts';

test('a look is told once in ten minutes, by whom and at what', () => {
  let now = 0;
  const told: unknown[] = [];
  const looks = createLooks({ tell: (...args) => told.push(args) }, () => now);
  const [organizationId, ada, bo] = [uuidv7(), uuidv7(), uuidv7()];
  const source: AuditSource = { ...systemSource, actorType: 'user', actorId: uuidv7(), sessionId: uuidv7() };
  const look = { action: 'report.read', entityType: 'user', entityId: ada };
  for (let i = 0; i < 5; i++) looks.note(organizationId, source, look);
  expect(told).toEqual([[organizationId, source, [look]]]);
  looks.note(organizationId, source, { ...look, entityId: bo });
  looks.note(organizationId, { ...source, actorId: bo }, look);
  looks.note(uuidv7(), source, look);
  expect(told).toHaveLength(4);
  now = 10 * 60_000;
  looks.note(organizationId, source, look);
  looks.note(organizationId, source, look);
  expect(told).toHaveLength(5);
});

test('what is remembered is bounded', () => {
  let told = 0;
  const looks = createLooks({ tell: () => told++ });
  const look = (entityId: string) => ({ action: 'report.read', entityType: 'user', entityId });
  for (let i = 0; i < 10_001; i++) looks.note('an organisation', systemSource, look(`${i}`));
  looks.note('an organisation', systemSource, look('10000'));
  expect(told).toBe(10_001);
  looks.note('an organisation', systemSource, look('0'));
  expect(told).toBe(10_002);
});
