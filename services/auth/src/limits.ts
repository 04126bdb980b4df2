import { createHash } from 'node:crypto';
import { addressWindow, type Limits, type WindowLimit } from '@worktide/key-value';
import type { LimitState, RequestLimit } from '@worktide/runtime';
import type { Config } from './config.ts';

/** What strangers may try how often; of all replicas together. Addresses are `addressGroup(req.ip)`. */
export interface AuthLimits {
  loginAddress: WindowLimit;
  /** By `accountSubject`. */
  loginAccount: WindowLimit;
  /** By account and what it knows: a device or an address. */
  loginKnown: WindowLimit;
  /** Of a caller who changes a password, by `userSubject`. */
  changePassword: WindowLimit;
  register: RequestLimit;
  /** Calls that send mail or take a token from one. */
  mailAddress: RequestLimit;
  /** By `accountSubject`. Apart from invitations, with which strangers could use it up. */
  resetMailbox: RequestLimit;
  /** By `accountSubject` of who registers. */
  verifyMailbox: RequestLimit;
  /** By `accountSubject` of who is invited, by whomever. */
  inviteMailbox: RequestLimit;
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
  const byAddress = (name: string, points: number): WindowLimit => addressWindow(limits, { name, points, seconds: 60 });
  // By the minute alone it would be thousands a day, all of them into one mailbox.
  const mailbox = (name: string, points: number): RequestLimit =>
    allOf([
      perMinute(name, points),
      limits.window({ name: `${name}-hour`, points: points * 4, seconds: 3_600 }),
      limits.window({ name: `${name}-day`, points: points * 10, seconds: 86_400 }),
    ]);
  return {
    loginAddress: byAddress('login-address', config.LOGIN_LIMIT_PER_MINUTE),
    loginAccount: perMinute('login-account', config.LOGIN_LIMIT_PER_MINUTE),
    loginKnown: perMinute('login-known', config.LOGIN_LIMIT_PER_MINUTE),
    changePassword: perMinute('change-password', config.LOGIN_LIMIT_PER_MINUTE),
    register: byAddress('register', config.REGISTER_LIMIT_PER_MINUTE),
    mailAddress: byAddress('mail-address', config.MAIL_LIMIT_PER_MINUTE),
    resetMailbox: mailbox('reset-mailbox', config.MAIL_LIMIT_PER_MINUTE),
    verifyMailbox: mailbox('verify-mailbox', config.MAIL_LIMIT_PER_MINUTE),
    inviteMailbox: mailbox('invite-mailbox', config.MAIL_LIMIT_PER_MINUTE),
    invite: perMinute('invite', config.INVITE_LIMIT_PER_MINUTE),
    agentKeys: limits.window({ name: 'agent-keys', points: agentKeysPerHour, seconds: 3_600 }),
  };
}

/** Passes where all do; tells of the one with the fewest left. */
const allOf = (windows: readonly [WindowLimit, ...WindowLimit[]]): RequestLimit => ({
  async take(subject) {
    const states: LimitState[] = [];
    for (const window of windows) states.push(await window.take(subject));
    return states.reduce((tightest, state) => (state.remaining < tightest.remaining ? state : tightest));
  },
});

/** An e-mail address as a subject, hashed: people's addresses do not belong into a cache's keys. */
export const accountSubject = (email: string): string => createHash('sha256').update(email).digest('base64url');
