import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { createTurns, type Metrics } from '@worktide/runtime';
import type { Applicant } from '../applicant.ts';

const argon2Async = promisify(argon2);

interface Cost {
  memory: number;
  passes: number;
  parallelism: number;
}

/** Argon2id with 19 MiB, two passes, one lane: OWASP Password Storage Cheat Sheet, first choice. ~45 ms a hash. */
const cost: Cost = { memory: 19_456, passes: 2, parallelism: 1 };
const tagLength = 32;
/** RFC 9106 §3.1: 16 bytes of salt are enough for any use with passwords. */
const saltLength = 16;
/** libuv has four threads, which also serve files and DNS: two hashes at a time leave half of them. */
const maxConcurrent = 2;
/** Other parameters than today's that hashes are known to have; more than one change of them is hardly ever under way. */
const maxFormer = 3;
/** From one address, or organisation: an office that comes to work at nine, some seconds' work. Others' turns come between. */
const defaultMaxWaitingEach = 200;
/** Below what a handler has; sixty hashes a second come to more than a thousand addresses in that time. */
const defaultMaxWaitMs = 25_000;

export interface Passwords {
  /** PHC string of a new password. Rejects 503 `BUSY` when the applicant's turn does not come. */
  hash(password: string, applicant: Applicant): Promise<string>;
  /**
   * Whether the password is the one of the stored hash. Without a stored hash it does the same work and is false, so
   * that nobody learns by the clock which addresses have an account.
   */
  verify(password: string, stored: string | undefined, applicant: Applicant): Promise<boolean>;
  /** True for hashes made with other parameters than today's. */
  isOutdated(stored: string): boolean;
}

/**
 * Hashing off the event loop, some at a time, by turns between those who ask: a hash is dear, and whoever has few
 * addresses could else keep everybody from logging in.
 */
export function createPasswords(options: { metrics: Metrics; maxWaitMs?: number; maxWaitingEach?: number }): Passwords {
  const { metrics, maxWaitMs = defaultMaxWaitMs, maxWaitingEach = defaultMaxWaitingEach } = options;
  const turns = createTurns({
    name: 'passwords',
    places: maxConcurrent,
    // A hash is short: nobody is kept waiting by one more, and where all have one address they get both.
    placesEach: maxConcurrent,
    maxWaitingEach,
    maxWaitMs,
    metrics,
    message: 'Too many people log in at the moment.',
  });
  const derived = metrics.counter('worktide_auth_password_derivations_total', 'Password hashes computed', ['cost']);
  /** Parameters of before, as soon as one hash with them was met. */
  const former: Cost[] = [];

  const inTurn = <T>({ subject, signal }: Applicant, work: () => Promise<T>): Promise<T> =>
    turns.run(subject, work, { signal });

  function derive(password: string, salt: Buffer, wanted: Cost): Promise<Buffer> {
    derived.inc({ cost: describe(wanted) });
    return argon2Async('argon2id', {
      // One password, typed on two systems, may arrive composed differently (NIST SP 800-63B §5.1.1.2).
      message: password.normalize('NFKC'),
      nonce: salt,
      ...wanted,
      tagLength,
    });
  }

  function remember(met: Cost): void {
    if (isSame(met, cost) || former.length >= maxFormer || former.some((known) => isSame(known, met))) return;
    former.push(met);
  }

  /**
   * The same work whatever hash is compared: as long as some have other parameters, a refusal that took only those, or
   * only today's, would tell which addresses have an account of which age.
   */
  async function deriveAlike(password: string, { salt, cost: wanted }: Stored): Promise<Buffer> {
    remember(wanted);
    let tag: Buffer | undefined;
    for (const each of [cost, ...former]) {
      const made = await derive(password, salt, each);
      if (isSame(each, wanted)) tag = made;
    }
    return tag ?? derive(password, salt, wanted);
  }

  // No password has it: its tag is random.
  const nobody: Stored = { cost, salt: randomBytes(saltLength), tag: randomBytes(tagLength) };

  return {
    async hash(password, applicant) {
      const salt = randomBytes(saltLength);
      return encode({ cost, salt, tag: await inTurn(applicant, () => derive(password, salt, cost)) });
    },
    async verify(password, stored, applicant) {
      const expected = stored === undefined ? nobody : decode(stored);
      return timingSafeEqual(await inTurn(applicant, () => deriveAlike(password, expected)), expected.tag);
    },
    isOutdated(stored) {
      return !isSame(decode(stored).cost, cost);
    },
  };
}

const describe = ({ memory, passes, parallelism }: Cost): string => `m=${memory},t=${passes},p=${parallelism}`;
const isSame = (one: Cost, other: Cost): boolean => describe(one) === describe(other);

interface Stored {
  cost: Cost;
  salt: Buffer;
  tag: Buffer;
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');

// PHC string format, as other Argon2 libraries read and write it.
function encode({ cost, salt, tag }: Stored): string {
  return `$argon2id$v=19$${describe(cost)}$${unpadded(salt)}$${unpadded(tag)}`;
}

function decode(phc: string): Stored {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(phc);
  const tag = Buffer.from(match?.[5] ?? '', 'base64');
  if (!match || tag.length !== tagLength) throw new Error('a stored password hash cannot be read');
  return {
    cost: { memory: Number(match[1]), passes: Number(match[2]), parallelism: Number(match[3]) },
    salt: Buffer.from(match[4]!, 'base64'),
    tag,
  };
}
