import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createKnown } from './known.ts';

test('what one organisation does makes no other forget, as long as that one has most', () => {
  const known = createKnown(100_000);
  for (let user = 0; user < 10; user++) known.add('small', `u${user}`, 'window\0laptop');
  for (let user = 0; user < 100; user++) {
    for (let i = 0; i < 200; i++) known.add('greedy', `u${user}`, `window\0${i}`);
  }
  for (let user = 0; user < 10; user++) expect(known.of('small', `u${user}`).size).toBe(1);
  expect(known.of('greedy', 'u0').size).toBe(0);
  expect(known.of('greedy', 'u99').size).toBeGreaterThan(0);
});

test('whoever adds whatever, it stays within its bound and knows its size', () => {
  const step = fc.record({
    organization: fc.nat(5),
    user: fc.nat(9),
    stream: fc.string({ minLength: 1, maxLength: 50 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const known = createKnown(8_000);
      for (const { organization, user, stream } of steps) {
        known.add(String(organization), String(user), stream);
        expect(known.size).toBeLessThanOrEqual(8_000);
      }
      let size = 0;
      for (let organization = 0; organization <= 5; organization++) {
        for (let user = 0; user <= 9; user++) {
          const found = known.of(String(organization), String(user));
          if (found.size === 0) continue;
          size += 100;
          for (const stream of found) size += 100 + stream.length;
        }
      }
      expect(known.size).toBe(size);
    }),
  );
});
