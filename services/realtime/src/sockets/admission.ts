import { hash } from 'node:crypto';
import { type Identity, isAgentKey } from '@worktide/identity';
import {
  AppError,
  type Budget,
  type Caller,
  forbidden,
  type Holding,
  unauthorized,
  userSubject,
} from '@worktide/runtime';

/** Somebody who has said who they are, and their place among the sockets. */
export interface Admitted {
  caller: Caller;
  token: string;
  release(): void;
}

export interface Admission {
  /**
   * Who a token is of. The same as a request with it would be answered.
   * @throws 401, 403 `AGENT_KEY_REFUSED`, 503.
   */
  authenticate(token: unknown, sender: () => string): Promise<Caller>;
  /**
   * Takes a place for the caller until it is released.
   * @param giveUp for when an organisation with fewer sockets needs the place.
   * @throws AppError 429 `TOO_MANY_SOCKETS`, 503 `BUSY`.
   */
  admit(caller: Caller, token: string, giveUp: (error: AppError) => void): Admitted;
}

/**
 * What a recovered session must be of: the same log-in, with the same role. It begins the secret by which a client names the
 * session, so that nobody comes into another's rooms by it.
 */
export const ownerOf = ({ organizationId, userId, sessionId, role }: Caller): string =>
  hash('sha256', [organizationId, userId, sessionId, role].join(' '), 'base64url').slice(0, 22);

export function createAdmission({
  identity,
  budget,
  perUser,
}: {
  identity: Pick<Identity, 'authenticate'>;
  budget: Budget;
  perUser: number;
}): Admission {
  /** By user, how many. */
  const counts = new Map<string, number>();

  return {
    async authenticate(token, sender) {
      if (typeof token !== 'string') throw unauthorized('Connect with auth: {token}, an access token.');
      // It lies in a file on a device, and who finds it there is not to watch an office by it.
      if (isAgentKey(token)) throw forbidden('An agent key opens no socket; log in.', 'AGENT_KEY_REFUSED');
      return identity.authenticate(`Bearer ${token}`, sender);
    },
    admit(caller, token, giveUp) {
      const subject = userSubject(caller);
      const count = counts.get(subject) ?? 0;
      if (count >= perUser) {
        const message = `You have ${perUser} connections already; close one.`;
        throw new AppError('TOO_MANY_SOCKETS', message, { statusCode: 429, retryAfterSeconds: 30 });
      }
      const holding: Holding = budget.take(caller.organizationId, 1, (error) => {
        giveUp(error);
        return true;
      });
      counts.set(subject, count + 1);
      let released = false;
      return {
        caller,
        token,
        release() {
          if (released) return;
          released = true;
          holding.release();
          const left = counts.get(subject)! - 1;
          if (left === 0) counts.delete(subject);
          else counts.set(subject, left);
        },
      };
    },
  };
}
