import type { Audit } from '@worktide/audit';
import type { KeyValue } from '@worktide/key-value';
import type { Pool, Reads } from '@worktide/postgres';
import type { Authenticate, Logger } from '@worktide/runtime';
import type { Attempts } from './accounts/attempts.ts';
import type { Act } from './action.ts';
import type { Config } from './config.ts';
import type { AuthLimits } from './limits.ts';
import type { Mailer } from './mail/mailer.ts';
import type { RequireSeat } from './organization/plans.ts';
import type { Passwords } from './passwords/passwords.ts';
import type { PeopleTeller } from './people/tell.ts';
import type { SigningKeys } from './tokens/signing-keys.ts';
import type { LastSeen } from './users/last-seen.ts';

/** What the routes of this service work with; made by `run`. */
export interface AuthContext {
  config: Pick<Config, 'BILLING_WEBHOOK_SECRET' | 'COOKIE_SECURE'>;
  /** Whether who registers has to prove the address. */
  verifiesAddresses: boolean;
  /** For what has no tenant yet, or reads one row by a token; a caller's request goes through `act` or `tenantTransaction`. */
  pool: Pool;
  /** Of lists, which may lag behind. */
  reads: Reads;
  act: Act;
  /** `tell` is for what has no transaction, e.g. a refused log-in. */
  audit: Audit;
  keyValue: KeyValue;
  log: Logger;
  limits: AuthLimits;
  attempts: Attempts;
  mailer: Mailer;
  people: Pick<PeopleTeller, 'accepted'>;
  passwords: Passwords;
  signingKeys: SigningKeys;
  authenticate: Authenticate;
  requireSeat: RequireSeat;
  lastSeen: LastSeen;
}
