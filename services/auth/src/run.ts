import { openKeyValue } from '@worktide/key-value';
import { checkPostgres, createPool } from '@worktide/postgres';
import { describeError, type Lifecycle, type Logger, type Metrics, type Service, sleep } from '@worktide/runtime';
import { accountRoutes } from './accounts/routes.ts';
import { agentKeyRoutes } from './agent-keys/routes.ts';
import type { Config } from './config.ts';
import type { AuthContext } from './context.ts';
import { internalRoutes } from './internal/routes.ts';
import { createLimiter } from './limits/limiter.ts';
import { createPasswords } from './passwords/passwords.ts';
import { pruneRevocations } from './revocations/revocations.ts';
import { sessionRoutes } from './sessions/routes.ts';
import { pruneSessions } from './sessions/sessions.ts';
import { createAuthenticate } from './tokens/authenticate.ts';
import { createSigningKeys } from './tokens/signing-keys.ts';

export const serviceName = 'auth';

const pruneEveryMs = 600_000;

/** Organisations, accounts, sessions and agent keys (U1–U3). Starts also while the database is away. */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;

  const pool = createPool(config.POSTGRES_URL, { applicationName: serviceName, log, metrics });
  lifecycle.onClose('auth postgres', () => pool.end());

  const keyValue = openKeyValue(config.KEY_VALUE_URL, { log, metrics });
  lifecycle.onClose('auth key-value', () => keyValue.close());
  const local = openKeyValue('memory:', { log, metrics });
  lifecycle.onClose('auth local counters', () => local.close());

  const signingKeys = createSigningKeys(pool, config.AUTH_SIGNING_KEY);
  const context: AuthContext = {
    config,
    pool,
    keyValue,
    log,
    limiter: createLimiter({ keyValue, local, log }),
    passwords: createPasswords({ metrics }),
    signingKeys,
    authenticate: createAuthenticate(pool, signingKeys),
  };

  const stop = new AbortController();
  const pruning = (async () => {
    while (!stop.signal.aborted) {
      await Promise.all([pruneRevocations(pool), pruneSessions(pool)]).catch((error: unknown) =>
        log.warn({ err: error }, `pruning failed: ${describeError(error)}`),
      );
      await sleep(pruneEveryMs, stop.signal);
    }
  })();
  lifecycle.onClose('auth pruning', async () => {
    stop.abort();
    await pruning;
  });

  return {
    name: serviceName,
    routes: [
      ...accountRoutes(context),
      ...sessionRoutes(context),
      ...agentKeyRoutes(context),
      ...internalRoutes(context),
    ],
    // Key-value is no reason to be unready: without it limits are local and revocations take two seconds.
    checks: {
      postgres: checkPostgres(pool),
      'signing-key': async () => {
        await signingKeys.current();
      },
    },
    authenticate: context.authenticate,
    internalToken: config.INTERNAL_TOKEN,
  };
}
