import { createAudit } from '@worktide/audit';
import { createLeads } from '@worktide/identity';
import { openStates } from '@worktide/key-value';
import { deletionsInPostgres, followDeletions } from '@worktide/people';
import { checkPostgres, createOutbox, createPool, openReads } from '@worktide/postgres';
import { backoffMs, createTurns, type Lifecycle, type Logger, type Metrics, type Service } from '@worktide/runtime';
import { openIdentity, openShared } from '@worktide/service';
import type { Config } from './config.ts';
import { createFirstState } from './first-state.ts';
import { openNotifications } from './notifications/open.ts';
import { pushThrough } from './notifications/push.ts';
import { countUnread } from './notifications/store.ts';
import { eraseOrganization, storePeople } from './people/store.ts';
import { followUsage } from './presence/follow.ts';
import { createLastSeen } from './presence/last-seen.ts';
import { createPresences } from './presence/presences.ts';
import { followForPushes } from './pushes/follow.ts';
import { createPushes } from './pushes/pushes.ts';
import { realtimeRoutes } from './routes.ts';
import { openAdapters } from './sockets/adapter.ts';
import { createSockets } from './sockets/server.ts';
import { createTopicReader } from './told/read-topics.ts';
import { openWebhooks } from './webhooks/open.ts';
import { askWorkspace } from './workspace.ts';

export const serviceName = 'realtime';

/** What another replica, or a deadline, has made due is seen so soon; what this one has, at once. */
const telling = { everyMs: 250, retryMs: (failures: number) => backoffMs(failures, 100, 5_000), graceMs: 2_000 };
/** One person has two lists in work and some in line; how many there are in all, the pool says. */
const listTurns = {
  name: 'presence lists of a person',
  places: Number.POSITIVE_INFINITY,
  placesEach: 2,
  maxWaitingEach: 30,
  maxWaitMs: 5_000,
};

/**
 * Tells people what has happened, and who is at work now: only what a topic says was committed.
 *
 * Consumers turn records into what is to be told and keep that in key-value, `presence/` who is online and `pushes/` all else;
 * telling is a step of its own, by whichever replica, one at a time for each object. `sockets/` knows who hears what.
 *
 * Starts while everything else is away, says so in `checks`, and goes on when it is back.
 */
export async function run(
  config: Config,
  deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics },
): Promise<Service> {
  const { lifecycle, log, metrics } = deps;
  const { KEY_VALUE_URL: keyValueUrl, INTERNAL_TOKEN: internalToken } = config;
  const shared = openShared(serviceName, config, deps);
  const { eventLog, registry, keyValue } = shared;

  const pool = createPool(config.POSTGRES_URL, { applicationName: serviceName, log, metrics });
  lifecycle.onClose('realtime postgres', () => pool.end());
  const reads = openReads({ service: serviceName, url: config.POSTGRES_READ_URL, pool, keyValue, ...deps });
  const audit = createAudit({ service: serviceName, registry, log, metrics });
  const outbox = createOutbox({
    schema: 'realtime',
    pool,
    producer: eventLog.producer(),
    log,
    metrics,
    lifecycle,
    whenFull: 'leave',
  });

  const identity = openIdentity(config, shared, deps);
  const leads = createLeads({ workspaceUrl: config.WORKSPACE_URL, internalToken });
  const workspace = askWorkspace(config.WORKSPACE_URL, internalToken);

  const presenceStates = openStates(keyValueUrl, { name: 'realtime:presence', log });
  lifecycle.onClose('presence states', () => presenceStates.close());
  const pushStates = openStates(keyValueUrl, { name: 'realtime:pushes', log });
  lifecycle.onClose('push states', () => pushStates.close());
  let wakePresence = (): void => {};
  let wakePushes = (): void => {};

  const presences = createPresences({
    states: presenceStates,
    organization: identity.organization,
    deliver: (delivery) => sockets.deliver(delivery),
    onDue: () => wakePresence(),
    metrics,
  });
  const unread = (organizationId: string, userId: string) => countUnread(pool, { organizationId, userId });
  const lastSeen = createLastSeen({ pool, authUrl: config.AUTH_URL, internalToken, lifecycle, log });
  const sockets = createSockets({
    adapters: openAdapters(keyValueUrl, log),
    identity,
    leads,
    seesTask: workspace.seesTask,
    stateOf: createFirstState({ writerUrl: config.WRITER_URL, presences, unread }),
    addressLimit: shared.ipLimit,
    maxSockets: config.SOCKETS_MAX,
    perUser: config.SOCKETS_PER_USER,
    perAddress: config.SOCKETS_PER_ADDRESS,
    lifecycle,
    log,
    metrics,
  });
  const pushes = createPushes({
    states: pushStates,
    deliver: sockets.deliver,
    keepInTask: sockets.keepInTask,
    onDue: () => wakePushes(),
  });
  wakePresence = lifecycle.every('presence', telling, presences.tell).wake;
  wakePushes = lifecycle.every('pushes', telling, pushes.tell).wake;
  const due = metrics.gauge(
    'worktide_telling_due',
    'Objects that people are to be told of and were not, of all replicas',
    ['kind'],
  );
  lifecycle.every('what is due', { everyMs: 15_000 }, async () => {
    for (const [kind, states] of Object.entries({ presence: presenceStates, pushes: pushStates })) {
      due.set({ kind }, (await states.waiting(Date.now())).due);
    }
  });

  const readers = {
    usage: createTopicReader(registry, ['usage']),
    'time-entries': createTopicReader(registry, ['time-entries']),
    alerts: createTopicReader(registry, ['alerts']),
    'screenshots-ready': createTopicReader(registry, ['screenshots-ready']),
    'workspace-events': createTopicReader(registry, ['workspace-events']),
  };
  const consumers = await followForPushes({
    eventLog,
    readers,
    pushes,
    presences,
    lastSeen,
    organization: identity.organization,
    sockets,
  });
  consumers.set('usage consumer', await followUsage({ eventLog, reader: readers.usage, presences, lastSeen }));
  lifecycle.onClose('realtime consumers', () => Promise.all([...consumers.values()].map((one) => one.close())));
  const people = await followDeletions({
    service: serviceName,
    eventLog,
    registry,
    deletions: deletionsInPostgres(pool, 'realtime'),
    store: (records) => storePeople(pool, records),
    erase: (organizationId) => eraseOrganization(pool, organizationId),
    lifecycle,
    log,
  });
  consumers.set('people consumer', people);

  const notifications = await openNotifications(config, {
    ...deps,
    pool,
    reads,
    eventLog,
    registry,
    push: pushThrough(pushes, reads.wrote, log),
  });
  consumers.set('notifications consumer', notifications.consumer);
  const webhooks = await openWebhooks(config, {
    ...deps,
    pool,
    reads,
    outbox,
    audit,
    eventLog,
    registry,
    limits: shared.limits,
    teller: notifications.teller,
  });
  consumers.set('webhooks consumer', webhooks.consumer);

  return {
    name: serviceName,
    routes: realtimeRoutes({
      notifications: notifications.routes,
      webhooks: webhooks.routes,
      presence: {
        reads,
        presences,
        turns: createTurns({ ...listTurns, metrics }),
        identity,
        leads,
        membersOf: workspace.membersOf,
      },
    }),
    upgrades: [sockets.upgrade],
    internalToken,
    checks: {
      postgres: checkPostgres(pool),
      'event log': () => eventLog.check(),
      'key-value': () => keyValue.check(),
      ...Object.fromEntries([...consumers].map(([name, consumer]) => [name, () => consumer.check()])),
      outbox: outbox.check,
      'schema registry': async () => {
        await Promise.all([...Object.values(readers).map((reader) => reader.prepare()), audit.check()]);
      },
      auth: identity.check,
    },
    sideChecks: { ...shared.sideChecks, ...reads.checks },
    wrote: reads.wrote,
    authenticate: identity.authenticate,
    ipLimit: shared.ipLimit,
  };
}
