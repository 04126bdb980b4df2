import { createHash } from 'node:crypto';
import type { Limits, WindowLimit } from '@worktide/key-value';
import type { Config } from './config.ts';

/** What strangers may try how often; of all replicas together (U8). Addresses are `addressGroup(req.ip)`. */
export interface AuthLimits {
  loginAddress: WindowLimit;
  /** By `accountSubject`. */
  loginAccount: WindowLimit;
  register: WindowLimit;
  /** Calls that send mail or take a token from one. */
  mailAddress: WindowLimit;
  /** By `accountSubject`; also for who is invited, by whomever. */
  mailAccount: WindowLimit;
  /** By `userSubject`: whole teams are invited one after the other. */
  invite: WindowLimit;
  /** By `userSubject`: every key that was revoked is remembered for hours, by every service. */
  agentKeys: WindowLimit;
}

type LimitsConfig = Pick<
  Config,
  'LOGIN_LIMIT_PER_MINUTE' | 'REGISTER_LIMIT_PER_MINUTE' | 'MAIL_LIMIT_PER_MINUTE' | 'INVITE_LIMIT_PER_MINUTE'
>;

/** Five times as many as a user can have at once. */
const agentKeysPerHour = 1_000;

export function createAuthLimits(limits: Limits, config: LimitsConfig): AuthLimits {
  const perMinute = (name: string, points: number): WindowLimit => limits.window({ name, points, seconds: 60 });
  return {
    loginAddress: perMinute('login-address', config.LOGIN_LIMIT_PER_MINUTE),
    loginAccount: perMinute('login-account', config.LOGIN_LIMIT_PER_MINUTE),
    register: perMinute('register', config.REGISTER_LIMIT_PER_MINUTE),
    mailAddress: perMinute('mail-address', config.MAIL_LIMIT_PER_MINUTE),
    mailAccount: perMinute('mail-account', config.MAIL_LIMIT_PER_MINUTE),
    invite: perMinute('invite', config.INVITE_LIMIT_PER_MINUTE),
    agentKeys: limits.window({ name: 'agent-keys', points: agentKeysPerHour, seconds: 3_600 }),
  };
}

/** An e-mail address as a subject, hashed: people's addresses do not belong into a cache's keys. */
export const accountSubject = (email: string): string => createHash('sha256').update(email).digest('base64url');
