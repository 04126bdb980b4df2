import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { topics } from '../topics.ts';
import { incompatibilities } from './compatibility.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { checkSnapshots } from './snapshot-check.ts';
import { loadSnapshots } from './snapshots.ts';

const all = checkSnapshots(Object.values(topics));

describe('the schemas of the topics', () => {
  test.each(all)('$topic can read what earlier versions wrote', ({ problems }) => {
    expect(problems).toEqual([]);
  });

  test.each(all)('$topic is committed as it is (else: npm run schemas:snapshot)', ({ missing }) => {
    expect(missing).toBe(false);
  });

  test('each released version reads the one before it, and none is missing', () => {
    const snapshots = loadSnapshots();
    for (const [i, snapshot] of snapshots.entries()) {
      const previous = snapshots[i - 1];
      if (previous?.topic !== snapshot.topic) expect(snapshot.version).toBe(1);
      else {
        expect(snapshot.version).toBe(previous.version + 1);
        expect(incompatibilities(previous.schema, snapshot.schema)).toEqual([]);
      }
    }
  });
});

describe('checkSnapshots', () => {
  const version1 = { topic: 'things', version: 1, schema: jsonSchemaOf(z.object({ a: z.string() })) };
  const outcome = (schema: z.ZodType) => checkSnapshots([{ name: 'things', schema }], [version1])[0];

  test('a compatible change wants the next version', () => {
    const changed = outcome(z.object({ a: z.string(), b: z.string().optional() }));
    expect(changed).toMatchObject({ version: 2, missing: true, problems: [] });
  });

  test('an incompatible change is refused, with what to do instead', () => {
    const changed = outcome(z.object({ b: z.string() }));
    expect(changed).toMatchObject({ missing: false });
    expect(changed?.problems).toContain('b: is now required');
    expect(changed?.problems.at(-1)).toMatch(/Add fields as optional.*new topic/);
  });

  test('a topic without a snapshot wants its first', () => {
    expect(checkSnapshots([{ name: 'other', schema: z.string() }], [version1])).toMatchObject([
      { version: 1, missing: true },
    ]);
  });
});
