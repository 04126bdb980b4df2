import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { conformsTo } from './conforms.ts';
import { pingEvent } from './ping-events.ts';
import { ping } from './pings.ts';
import { usageEntryState } from './usage.ts';

const id = '019cd7a0-0000-7000-8000-000000000001';
const event = {
  id,
  startedAt: 1,
  endedAt: 2,
  app: 'a',
  host: 'h',
  state: 'active',
  deviceId: 'd',
  source: 'window',
  title: 't',
  url: 'https://h/',
  projectId: id,
  timeEntryId: id,
};
const cases = [
  ['pingEvent', pingEvent, event],
  [
    'ping',
    ping,
    { ...event, startedAt: '2026-03-10T13:30:00.250+02:00', endedAt: '2024-02-29T23:59:59Z', host: undefined },
  ],
  ['usageEntryState', usageEntryState, { ...event, version: 5, deleted: false }],
] as const;

test.each(cases)('%s: the compiled check and zod always agree', (_name, schema, good) => {
  const conforms = conformsTo(schema as typeof pingEvent);
  expect(conforms(JSON.parse(JSON.stringify(good)))).toBe(true);
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(
      null,
      '',
      id,
      id.toUpperCase(),
      `${id}0`,
      '2026-02-30T00:00:00Z',
      '2026-03-10',
      0,
      -1,
      1.5,
      2 ** 53,
      1e300,
    ),
    fc
      .integer({ min: 0, max: 600 })
      .map((length) => '🙂'.repeat(length / 2) + 'x'.repeat(length % 2 === 0 ? 0 : length)),
  );
  const changed = fc
    .tuple(fc.constantFrom(...Object.keys(good), 'unknown'), odd, fc.boolean())
    .map(([field, value, drop]) => {
      const copy: Record<string, unknown> = JSON.parse(JSON.stringify(good));
      if (drop) delete copy[field];
      else copy[field] = value;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(changed, fc.jsonValue()), (value) => {
      expect(conforms(value)).toBe(schema.safeParse(value).success);
    }),
    { numRuns: 3_000 },
  );
});
