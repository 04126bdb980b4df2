import { describe, expect, test } from '@jest/globals';
import { createMetrics } from '@worktide/runtime';
import { createPasswords } from './passwords.ts';

/** With all the time in the world: how fast this machine is at the moment is not what these are about. */
const patient = (metrics = createMetrics()) => createPasswords({ metrics, maxWaitMs: 600_000 });
const passwords = patient();
const somebody = { subject: '192.0.2.1', signal: new AbortController().signal };

describe('passwords', () => {
  test('a hash is a PHC string with a salt of its own, and only its password fits', async () => {
    const [one, two] = await Promise.all([
      passwords.hash('correct horse', somebody),
      passwords.hash('correct horse', somebody),
    ]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(one).not.toBe(two);
    expect(await passwords.verify('correct horse', one, somebody)).toBe(true);
    expect(await passwords.verify('correct horsf', one, somebody)).toBe(false);
    expect(await passwords.verify('correct horse', undefined, somebody)).toBe(false);
  });

  test('the same password composed differently is the same password', async () => {
    expect(await passwords.verify('cafe\u0301 noir', await passwords.hash('caf\u00e9 noir', somebody), somebody)).toBe(
      true,
    );
  });

  test('a hash of another Argon2 library, with other parameters, is read and known to be outdated', async () => {
    // Known answer of the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`.
    const foreign = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await passwords.verify('password', foreign, somebody)).toBe(true);
    expect(await passwords.verify('passwore', foreign, somebody)).toBe(false);
    expect(passwords.isOutdated(foreign)).toBe(true);
    expect(passwords.isOutdated(await passwords.hash('password', somebody))).toBe(false);
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
      expect(await alike.verify('wrong', stored, somebody)).toBe(false);
      return (await counts()).filter((line) => !before.includes(line)).map((line) => line.split(' ')[0]);
    };
    const older = '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    const today = await alike.hash('right', somebody);
    expect(await work(undefined)).toHaveLength(1);
    const both = await work(older);
    expect(both).toHaveLength(2);
    expect(await work(today)).toEqual(both);
    expect(await work(undefined)).toEqual(both);
  });

  test('hashes come by turns: many addresses that keep several log-ins waiting delay another by one of each', async () => {
    const busy = patient();
    const hostileAddresses = 40;
    const gone = new AbortController();
    const ended: string[] = [];
    const login = async (subject: string): Promise<void> => {
      await busy.verify('wrong', undefined, { subject, signal: gone.signal });
      ended.push(subject);
    };
    const hostile = Array.from({ length: hostileAddresses * 5 }, (_, i) =>
      login(`198.51.100.${i % hostileAddresses}`).catch(() => {}),
    );
    await login('192.0.2.1');
    // About one of each, and what was in a place when it came: what counts is the time that hashes take, and that varies.
    expect(ended.length).toBeLessThan(2 * hostileAddresses);
    gone.abort();
    await Promise.all(hostile);
  });

  test('nobody starves: each of many has one hash while who asks for most has a few', async () => {
    const busy = patient();
    const counts = new Map<string, number>();
    let most = 0;
    const work = Array.from({ length: 40 }, async (_, i) => {
      // The first asks for most, and before all others.
      const subject = i < 20 ? '198.51.100.1' : `198.51.100.${i}`;
      await busy.verify('wrong', undefined, { ...somebody, subject });
      counts.set(subject, (counts.get(subject) ?? 0) + 1);
      if (counts.size < 21) most = Math.max(most, ...counts.values());
    });
    await Promise.all(work);
    // Two places were free when it came; while these were at work nobody had had a turn. What counts is the time that hashes
    // take, and that varies.
    expect(most).toBeLessThanOrEqual(5);
  });

  test('a line is bounded: beyond it 503 for that address alone', async () => {
    const few = createPasswords({ metrics: createMetrics(), maxWaitingEach: 20 });
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 25 }, () => few.verify('x', undefined, somebody)),
      few.verify('x', undefined, { ...somebody, subject: '192.0.2.2' }),
    ]);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    // Two at work, twenty waiting.
    expect(refused).toHaveLength(3);
    expect(refused[0]!.reason).toMatchObject({ code: 'BUSY', statusCode: 503, retryAfterSeconds: 2 });
    expect(outcomes.at(-1)).toEqual({ status: 'fulfilled', value: false });
  });

  test('who goes away while waiting costs no hash', async () => {
    const metrics = createMetrics();
    const busy = patient(metrics);
    const gone = new AbortController();
    const work = Array.from({ length: 12 }, () => busy.verify('x', undefined, { ...somebody, signal: gone.signal }));
    const settled = Promise.allSettled(work);
    gone.abort();
    expect((await settled).filter(({ status }) => status === 'rejected')).toHaveLength(10);
    expect((await metrics.render()).text).toMatch(/derivations_total\{[^}]*\} 2\n/);
  });
});
