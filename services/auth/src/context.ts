import type { KeyValue } from '@worktide/key-value';
import type { Pool } from '@worktide/postgres';
import type { Authenticate, Logger } from '@worktide/runtime';
import type { Config } from './config.ts';
import type { Limiter } from './limits/limiter.ts';
import type { Passwords } from './passwords/passwords.ts';
import type { SigningKeys } from './tokens/signing-keys.ts';

/** What the routes of this service work with; made by `run`. */
export interface AuthContext {
  config: Pick<Config, 'COOKIE_SECURE' | 'LOGIN_LIMIT_PER_MINUTE' | 'REGISTER_LIMIT_PER_MINUTE'>;
  pool: Pool;
  keyValue: KeyValue;
  log: Logger;
  limiter: Limiter;
  passwords: Passwords;
  signingKeys: SigningKeys;
  authenticate: Authenticate;
}
