import { describe, expect, test } from '@jest/globals';
import { createMetrics } from '@worktide/runtime';
import { createPasswords } from './passwords.ts';

const passwords = createPasswords({ metrics: createMetrics(), maxWaiting: 4 });

describe('passwords (U8)', () => {
  test('a hash is a PHC string with a salt of its own, and only its password fits', async () => {
    const [one, two] = await Promise.all([passwords.hash('correct horse'), passwords.hash('correct horse')]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(one).not.toBe(two);
    expect(await passwords.verify('correct horse', one)).toBe(true);
    expect(await passwords.verify('correct horsf', one)).toBe(false);
    expect(await passwords.verify('correct horse', undefined)).toBe(false);
  });

  test('the same password composed differently is the same password', async () => {
    expect(await passwords.verify('cafe\u0301 noir', await passwords.hash('caf\u00e9 noir'))).toBe(true);
  });

  test('a hash of another Argon2 library, with other parameters, is read and known to be outdated', async () => {
    // Known answer of the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`.
    const foreign = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await passwords.verify('password', foreign)).toBe(true);
    expect(await passwords.verify('passwore', foreign)).toBe(false);
    expect(passwords.isOutdated(foreign)).toBe(true);
    expect(passwords.isOutdated(await passwords.hash('password'))).toBe(false);
  });

  test('as long as hashes have other parameters, every comparison does the work of all of them', async () => {
    const metrics = createMetrics();
    const alike = createPasswords({ metrics });
    const work = async (stored: string | undefined) => {
      const counts = async () =>
        (await metrics.render()).text
          .split('\n')
          .filter((line) => line.startsWith('worktide_auth_password_derivations'));
      const before = await counts();
      expect(await alike.verify('wrong', stored)).toBe(false);
      return (await counts()).filter((line) => !before.includes(line)).map((line) => line.split(' ')[0]);
    };
    const older = '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    const today = await alike.hash('right');
    expect(await work(undefined)).toHaveLength(1);
    const both = await work(older);
    expect(both).toHaveLength(2);
    expect(await work(today)).toEqual(both);
    expect(await work(undefined)).toEqual(both);
  });

  test('the waiting line is bounded: over it 503, and the line moves on after', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 9 }, () => passwords.verify('x', undefined)));
    const refused = outcomes.filter((o) => o.status === 'rejected');
    expect(refused).toHaveLength(3);
    expect(refused[0]!.reason).toMatchObject({ code: 'BUSY', statusCode: 503, retryAfterSeconds: 5 });
    expect(await passwords.verify('x', undefined)).toBe(false);
  });
});
