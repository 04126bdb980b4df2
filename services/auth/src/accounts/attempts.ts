import type { WindowLimit } from '@worktide/key-value';
import { inTurn, type Pool } from '@worktide/postgres';
import { AppError, addressGroup, createTurns, type Metrics, showLimit } from '@worktide/runtime';
import type { Response } from 'express';
import type { Applicant } from '../applicant.ts';
import { type AuthLimits, accountSubject } from '../limits.ts';
import { hashOf } from '../sessions/refresh-tokens.ts';
import { firstOfAddress } from './unverified.ts';

export interface Attempt {
  email: string;
  /** Of the device's cookie, where it has one. */
  refreshToken: string | undefined;
  applicant: Applicant;
}

/** Log-ins, of which the failed ones count (rule Limits: failures). */
export interface Attempts {
  /**
   * Does the work of a log-in where its address and account have failures left; else, for a device or an address that
   * logged in to this account before, where those have some of their own. So strangers use up nothing of the owner's.
   * @throws AppError 429, 503 `LOGINS_BUSY`; what `work` throws, of which 401 is a failure.
   */
  run<T>(res: Response, attempt: Attempt, work: () => Promise<T>): Promise<T>;
}

const busy = 'LOGINS_BUSY';
const isRefused = (error: unknown): error is AppError =>
  error instanceof AppError && (error.statusCode === 429 || error.code === busy);

export function createAttempts(options: {
  pool: Pool;
  limits: Pick<AuthLimits, 'loginAddress' | 'loginAccount' | 'loginKnown'>;
  perMinute: number;
  metrics: Metrics;
}): Attempts {
  const { pool, limits, perMinute, metrics } = options;
  // Few of a subject at a time: of many at once, each holding a point until it is known to be good, some would be
  // refused although none fails.
  const line = (name: string) =>
    createTurns({
      name,
      places: 10_000,
      placesEach: Math.ceil(perMinute / 5),
      maxWaiting: 10_000,
      maxWaitMs: 20_000,
      metrics,
      code: busy,
      message: 'Too many log-ins at once; try again.',
    });
  const addresses = line('log-ins of an address');
  const accounts = line('log-ins of an account');

  return {
    async run(res, { email, refreshToken, applicant }, work) {
      const account = accountSubject(email);
      const { subject: address, signal } = applicant;
      const ofAccount = () =>
        accounts.run(account, () => counted(res, limits.loginAccount, account, work), { signal, cost: 1 });
      try {
        return await addresses.run(address, () => counted(res, limits.loginAddress, address, ofAccount), {
          signal,
          cost: 1,
        });
      } catch (error) {
        if (!isRefused(error)) throw error;
        const known = await findKnown(pool, email, refreshToken, applicant);
        if (known === undefined) throw error;
        const own = `${account}/${known}`;
        return accounts.run(own, () => counted(res, limits.loginKnown, own, work), { signal, cost: 1 });
      }
    },
  };
}

/** Takes a point before the work, so that many at once are no more guesses than one after the other. */
export async function counted<T>(
  res: Response,
  limit: WindowLimit,
  subject: string,
  work: () => Promise<T>,
  failed = (error: unknown): boolean => error instanceof AppError && error.statusCode === 401,
): Promise<T> {
  const state = await limit.take(subject);
  try {
    const result = await work();
    await limit.giveBack(subject);
    showLimit(res, { ...state, remaining: Math.min(state.limit, state.remaining + 1) });
    return result;
  } catch (error) {
    if (failed(error)) showLimit(res, state);
    else await limit.giveBack(subject);
    throw error;
  }
}

/**
 * As what somebody is known to an account: a live session of theirs by its cookie, or their address, from which a
 * session began that is not yet forgotten. Undefined for strangers, and for addresses without an account.
 */
async function findKnown(
  pool: Pool,
  email: string,
  refreshToken: string | undefined,
  { subject, signal }: Applicant,
): Promise<string | undefined> {
  const ask = () =>
    pool.query<{ session: string | null; address: string | null }>(
      `WITH own AS (
         SELECT s.organization_id, s.id, s.ip_address, s.ended_at
         FROM (SELECT organization_id, id FROM auth.users WHERE email = $1 ${firstOfAddress}) u
         JOIN auth.sessions s ON s.organization_id = u.organization_id AND s.user_id = u.id
       )
       SELECT DISTINCT NULL::uuid AS session, ip_address AS address FROM own
       UNION ALL
       SELECT own.id, NULL FROM own JOIN auth.refresh_tokens t ON t.organization_id = own.organization_id
         AND t.session_id = own.id
       WHERE own.ended_at IS NULL AND t.token_hash = $2 AND t.expires_at > clock_timestamp()`,
      [email, refreshToken === undefined ? null : hashOf(refreshToken)],
    );
  const { rows } = await inTurn(pool, subject, ask, signal);
  const session = rows.find((row) => row.session !== null)?.session;
  if (session) return session;
  return rows.some(({ address }) => address !== null && addressGroup(address) === subject) ? subject : undefined;
}
