import { createAudit } from '@worktide/audit';
import { checkPostgres, createOutbox, createPool, openReads } from '@worktide/postgres';
import { type Lifecycle, type Logger, type Metrics, type Service, startUntilDone } from '@worktide/runtime';
import { createCodec, topics } from '@worktide/schemas';
import { openShared } from '@worktide/service';
import { sweepAddresses } from './accounts/addresses.ts';
import { createAttempts } from './accounts/attempts.ts';
import { accountRoutes } from './accounts/routes.ts';
import { removeUnverified } from './accounts/unverified.ts';
import { createAct } from './action.ts';
import { agentKeyRoutes } from './agent-keys/routes.ts';
import { billingWebhook } from './billing/webhook.ts';
import { type Config, verifiesAddresses } from './config.ts';
import type { AuthContext } from './context.ts';
import { internalRoutes } from './internal/routes.ts';
import { pruneInvitations } from './invitations/invitations.ts';
import { invitationRoutes } from './invitations/routes.ts';
import { createAuthLimits } from './limits.ts';
import { startMailer } from './mail/mailer.ts';
import { pruneTokens } from './mail/tokens.ts';
import { openMailTransport } from './mail/transport.ts';
import { deleteDueOrganizations } from './organization/deletion.ts';
import { createRequireSeat } from './organization/plans.ts';
import { organizationRoutes } from './organization/routes.ts';
import { passwordRoutes } from './password-change/routes.ts';
import { createPasswords } from './passwords/passwords.ts';
import { createPeopleTeller } from './people/tell.ts';
import { privacyRoutes } from './privacy/routes.ts';
import { pruneRevocations } from './revocations/revocations.ts';
import { sessionRoutes } from './sessions/routes.ts';
import { pruneSessions } from './sessions/sessions.ts';
import { createAuthenticate } from './tokens/authenticate.ts';
import { createSigningKeys } from './tokens/signing-keys.ts';
import { createLastSeen } from './users/last-seen.ts';
import { userRoutes } from './users/routes.ts';

export const serviceName = 'auth';

const pruneEveryMs = 600_000;
/** What has a time of its own is gone soon after it. */
const removeEveryMs = 10_000;
/** What others know of people is behind by so much. */
const tellEveryMs = 1_000;
const prunings = [pruneRevocations, pruneSessions, pruneTokens, pruneInvitations];

/** Organisations, accounts, sessions and agent keys. Starts also while the database is away. */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const shared = openShared(serviceName, config, deps);
  const { eventLog, registry, keyValue, limits } = shared;

  const pool = createPool(config.POSTGRES_URL, { applicationName: serviceName, log, metrics });
  lifecycle.onClose('auth postgres', () => pool.end());

  const reads = openReads({ service: serviceName, url: config.POSTGRES_READ_URL, pool, keyValue, ...deps });

  const producer = eventLog.producer();
  const audit = createAudit({ service: serviceName, registry, producer, log, metrics });
  const outbox = createOutbox({ schema: 'auth', pool, producer, log, metrics, lifecycle, whenFull: 'leave' });

  const lastSeen = createLastSeen({ pool, log, lifecycle });
  const signingKeys = createSigningKeys(pool, config.AUTH_SIGNING_KEY);
  const act = createAct({ pool, outbox, audit, keyValue, log });
  const mailer = startMailer({
    pool,
    act,
    transport: config.SMTP_URL ? openMailTransport(config.SMTP_URL, config.MAIL_FROM) : undefined,
    publicUrl: config.PUBLIC_URL,
    log,
    metrics,
    lifecycle,
  });
  const people = createPeopleTeller({ act, codec: createCodec(registry, topics.people) });
  const authLimits = createAuthLimits(limits, config);
  const context: AuthContext = {
    config,
    verifiesAddresses: verifiesAddresses(config),
    pool,
    reads,
    act,
    mailer,
    people,
    audit,
    keyValue,
    log,
    limits: authLimits,
    attempts: createAttempts({ pool, limits: authLimits, perMinute: config.LOGIN_LIMIT_PER_MINUTE, metrics }),
    passwords: createPasswords({ metrics }),
    signingKeys,
    authenticate: createAuthenticate(pool, signingKeys, lastSeen),
    requireSeat: createRequireSeat(config.PLAN_SEATS),
    lastSeen,
  };

  startUntilDone('one form of addresses', (signal) => sweepAddresses(pool, { log, signal }), { lifecycle, log });

  lifecycle.every('auth pruning', { everyMs: pruneEveryMs }, () => Promise.all(prunings.map((prune) => prune(pool))));
  lifecycle.every('people', { everyMs: tellEveryMs }, people.tell);
  lifecycle.every('auth removals', { everyMs: removeEveryMs }, async () => {
    await removeUnverified(act);
    await deleteDueOrganizations(act, people);
  });

  return {
    name: serviceName,
    routes: [
      ...accountRoutes(context),
      ...sessionRoutes(context),
      ...agentKeyRoutes(context),
      ...passwordRoutes(context),
      ...invitationRoutes(context),
      ...userRoutes(context),
      ...organizationRoutes(context),
      ...privacyRoutes(context),
      ...internalRoutes(context),
    ],
    rawRoutes: [billingWebhook(context)],
    // Key-value is no reason to be unready: without it limits are local and revocations take two seconds.
    // Nor is the log: what it is to be told waits in the outbox.
    checks: {
      postgres: checkPostgres(pool),
      'schema registry': () => audit.check(),
      'signing-key': async () => {
        await signingKeys.current();
      },
    },
    sideChecks: { ...shared.sideChecks, ...reads.checks },
    wrote: reads.wrote,
    authenticate: context.authenticate,
    internalToken: config.INTERNAL_TOKEN,
    ipLimit: shared.ipLimit,
  };
}
