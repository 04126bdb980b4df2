import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Account, type AccountsContext, accountsOfKeys, registerAccounts, type Wanted } from './accounts.ts';
import { zones } from './agents/catalog.ts';
import { type Agent, createDriver } from './agents/driver.ts';
import { createActivityWatch, createWakaTime } from './agents/foreign.ts';
import { createHostile } from './agents/hostile.ts';
import { maxDaysBack } from './agents/shifts.ts';
import { createUploads, type Script } from './agents/uploads.ts';
import { createWorker, type Worker } from './agents/worker.ts';
import { createHttpClient, sendUntilAnswered } from './client.ts';
import type { FleetOptions, Origins } from './options.ts';
import { createLedger, type Ledger } from './oracle/ledger.ts';
import { createLatency, createStats, increment, type Latency, progressLine, type Stats } from './progress.ts';
import { createRandom, type Random } from './random.ts';
import { type ShotResult, startShots } from './screenshots/run.ts';
import { attackersNeeded } from './siege/attacks.ts';
import { bystandersOf } from './siege/bystanders.ts';
import { type SiegeResult, startSiege } from './siege/siege.ts';
import { startTimers, type TimeResult } from './timers/run.ts';
import { createReader, type Reader } from './verify/read.ts';
import { type Verification, verify } from './verify/verify.ts';
import { startWatchers, type WatchResult } from './watchers/run.ts';

export interface FleetResult {
  /** Usage, reports, screenshots and time entries are what they must be, no answer was wrong, and the fate of all that was sent is known. */
  equal: boolean;
  verification: Verification;
  stats: Stats;
  ledger: Ledger;
  accounts: readonly Account[];
  /** Answers that were not what they must be, by what was wrong, with how often. */
  complaints: ReadonlyMap<string, number>;
  /** Pings sent whose fate is unknown: without an answer to the end. By user. */
  unknown: ReadonlyMap<string, number>;
  /** Undefined where none were sent. */
  screenshots: ShotResult | undefined;
  /** Undefined where nobody keeps their time. */
  times: TimeResult | undefined;
  /** Undefined where nobody watches. */
  watched: WatchResult | undefined;
  /** What the attackers were answered, and what others waited; with `pings`, what agents waited. Undefined without a siege. */
  siege: (SiegeResult & { pings: { calm: Latency; besieged: Latency } }) | undefined;
  seed: number;
  runId: string;
  now: number;
  /** Compares once more with the same ledger, e.g. after kills or a replay. */
  verify(options?: { settle?: number; signal?: AbortSignal }): Promise<Verification>;
  /** The same of time entries; undefined where nobody keeps their time. */
  verifyTimes(options?: { settle?: number }): Promise<TimeResult | undefined>;
  /** Ends the kept connections. */
  close(): void;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Registering a fleet may take a while: passwords are hashed at tens of milliseconds of CPU each. */
const registrationMs = 10 * minuteMs;
/** A product that is just starting or restarting answers within this. */
const firstAnswerMs = 15_000;
/** Different complaints kept; a service that is wrong is wrong thousands of times. */
const complaintsKept = 50;
const hostilePerUser = 5;

const originsOf = (options: FleetOptions): Origins => ({
  auth: options.origins?.auth ?? options.url,
  ingest: options.origins?.ingest ?? [options.url],
  usage: options.origins?.usage ?? options.url,
  reports: options.origins?.reports ?? options.url,
  screenshots: options.origins?.screenshots ?? options.url,
  realtime: options.origins?.realtime ?? options.url,
  protocols: options.origins?.protocols ?? options.url,
});

/** Devices per user: everyone one, most two or three; more only where agents are left over. */
function devicesPerUser(agents: number, users: number, random: Random): number[] {
  const counts = new Array<number>(users).fill(1);
  const twice = [...counts.keys(), ...counts.keys()];
  const further = random.shuffled(twice);
  for (let i = 0; i < agents - users; i++) counts[further[i % further.length]!]!++;
  return counts;
}

function wantedAccounts(counts: readonly number[], seed: number, runId: string, screenshots: number): Wanted[] {
  const random = createRandom(seed, 'accounts');
  return counts.map((count, i) => ({
    email: `fleet-${runId}-${i}@example.com`,
    password: `fleet ${runId} ${i} password`,
    name: `Fleet user ${i}`,
    organizationName: `Fleet ${runId} ${i}`,
    timezone: zones[(i + seed) % zones.length]!,
    devices: Array.from({ length: count }, (_, d) => `${random.pick(['laptop', 'desktop', 'Büro – PC'])}-${i}-${d}`),
    // Every third demands more than most of its agents ask for.
    ...(screenshots > 0 && i % 3 === 1 ? { minimumBlurLevel: 2 } : {}),
  }));
}

/** A wrong URL is told at once, not after all the patience that registering may need. */
async function requireAnswer({ client, origin, signal }: AccountsContext): Promise<void> {
  const options = { deadline: Date.now() + firstAnswerMs, ...(signal ? { signal } : {}) };
  await sendUntilAnswered(client, origin, { method: 'GET', path: '/health/live' }, options).catch((cause: Error) => {
    throw new Error(`nothing answers at ${origin}: ${cause.message}`, { cause });
  });
}

/** The ledger begins empty, and so must the users: what they had before would all be differences. */
async function requireNoUsage(reader: Reader, accounts: readonly Account[], norScreenshots: boolean): Promise<void> {
  for (const account of accounts) {
    if (await reader.hasUsage(account, Date.now() - 90 * dayMs, Date.now())) {
      throw new Error(`user ${account.userId} of the keys has usage already; the fleet needs users without any`);
    }
    if (norScreenshots && (await reader.screenshots(account)).length > 0) {
      throw new Error(`user ${account.userId} of the keys has screenshots already; the fleet needs users without any`);
    }
  }
}

/**
 * Runs a fleet of simulated agents against a product, keeps the ledger of what was acknowledged, and compares what
 * the public interface shows with what it must show.
 * @throws Error when accounts cannot be made; everything after that ends in the result.
 */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const print = options.print ?? (() => {});
  const seed = options.seed ?? 1;
  const runId = options.runId ?? randomBytes(4).toString('hex');
  const now = Math.min(options.now ?? Date.now(), Date.now());
  const days = Math.min(options.days ?? 3, maxDaysBack);
  if (now < Date.now() - 5 * dayMs) throw new Error('"now" is more than five days ago: its pings would be too old');
  const hostile = options.hostile ?? 0;
  const settle = options.settle ?? 60;
  const screenshots = options.screenshots ?? 0;
  const origins = originsOf(options);
  const maxSockets = options.maxSockets ?? 256;
  const clientOptions = options.requestTimeoutMs === undefined ? {} : { timeoutMs: options.requestTimeoutMs };
  const client = createHttpClient({ maxSockets, ...clientOptions });
  const signal = options.signal ?? new AbortController().signal;

  const ctx = { client, origin: origins.auth, deadline: Date.now() + registrationMs, signal };
  let accounts: Account[];
  let hostileAccounts: Account[] = [];
  let attackers: Account[] = [];
  try {
    await requireAnswer(ctx);
    if (options.keys) {
      accounts = await accountsOfKeys(ctx, options.keys);
      await requireNoUsage(createReader(client, origins), accounts, screenshots > 0);
    } else {
      const users = Math.min(options.users ?? Math.ceil(options.agents / 2), options.agents);
      const counts = devicesPerUser(options.agents, users, createRandom(seed, 'devices'));
      const all = [...counts, ...new Array<number>(Math.ceil(hostile / hostilePerUser)).fill(1)];
      print(`seed ${seed}, run ${runId}, now ${new Date(now).toISOString()}: registering ${all.length} organisations`);
      const made = await registerAccounts(ctx, wantedAccounts(all, seed, runId, screenshots));
      accounts = made.slice(0, users);
      hostileAccounts = made.slice(users);
      if (options.siege) {
        const more = wantedAccounts(new Array<number>(attackersNeeded + 1).fill(1), seed, `${runId}-siege`, 0);
        attackers = await registerAccounts(ctx, more);
      }
    }
  } catch (error) {
    client.close();
    throw error;
  }

  const ledger = createLedger();
  const stats = createStats();
  const complaints = new Map<string, number>();
  const complain = (what: string): void =>
    increment(complaints, complaints.size < complaintsKept || complaints.has(what) ? what : 'other complaints');

  // Of keys that were given nobody knows the device, and these protocols have no other.
  const foreign = options.keys ? 0 : (options.foreign ?? 0);
  const scriptOf = (worker: Worker, random: Random, index: number): Script =>
    index < foreign
      ? createActivityWatch(worker, random)
      : index < 2 * foreign
        ? createWakaTime(worker, random)
        : createUploads(worker, random);

  const agentOf = (account: Account, device: number, index: number, isHostile: boolean): Agent => {
    const { deviceId, agentKey } = account.devices[device]!;
    const random = createRandom(seed, 'agent', index);
    const worker = createWorker({
      zone: account.timezone,
      now,
      days,
      deviceId,
      nameDevice: options.keys !== undefined,
      otherDevices: account.devices.map((d) => d.deviceId).filter((other) => other !== deviceId),
      random,
      ids: createRandom(seed, runId, 'ids', index),
    });
    return {
      account,
      deviceId,
      agentKey,
      script: isHostile ? createHostile({ worker, random }) : scriptOf(worker, random, index),
      parallel: isHostile ? 50 : 1,
      pingsLeft: options.pingsPerAgent ?? Number.POSITIVE_INFINITY,
    };
  };
  const lawful = accounts.flatMap((account) => account.devices.map((_, d) => ({ account, d })));
  const agents = lawful.map(({ account, d }, i) => agentOf(account, d, i, false));
  if (options.keys) hostileAccounts = accounts;
  for (let i = 0; i < hostile; i++) {
    agents.push(agentOf(hostileAccounts[i % hostileAccounts.length]!, 0, lawful.length + i, true));
  }
  const everyone = [...new Set([...accounts, ...hostileAccounts])];

  const rate = options.rate ?? agents.length * 10;
  const driver = createDriver(agents, {
    client,
    origins: origins.ingest,
    foreignOrigin: origins.protocols,
    ledger,
    stats,
    rate: Number.isFinite(rate) ? rate : undefined,
    maxInFlight: maxSockets * origins.ingest.length,
    ...(options.maxWaitMs === undefined ? {} : { maxWaitMs: options.maxWaitMs }),
    complain,
  });

  print(`${lawful.length} agents of ${accounts.length} users, ${hostile} hostile, for ${options.seconds} s`);
  const line = progressLine(stats, Date.now());
  const photographer =
    screenshots > 0
      ? startShots({
          client,
          origins: origins.ingest,
          // The hostile ones come last.
          agents: agents.map((agent, i) => ({ ...agent, hostile: i >= lawful.length })),
          perAgent: screenshots,
          seconds: options.seconds,
          now,
          seed,
          runId,
          complain,
        })
      : undefined;
  const watchers =
    (options.watchers ?? 0) > 0 && !options.keys
      ? startWatchers({ client, origins, reader: createReader(client, origins), accounts, count: options.watchers! })
      : undefined;
  // Whoever cannot connect has been told nothing, and the verdict says so.
  if (watchers) await Promise.race([watchers.ready, sleep(firstAnswerMs, undefined, { ref: false })]);
  const keepers =
    (options.timers ?? 0) > 0
      ? startTimers({
          client,
          origins,
          accounts,
          perUser: options.timers!,
          now,
          days,
          seed,
          runId,
          complain: (what) => complain(`time: ${what}`),
        })
      : undefined;
  const ticker = setInterval(() => print(line(driver.pending())), 1000);
  const waits = { calm: createLatency(), besieged: createLatency() };
  const stranger = attackers.at(-1);
  const bystanders = stranger ? bystandersOf(accounts[0]!, stranger, { client, origins }) : [];
  const siege = stranger ? startSiege({ origins, attackers, bystanders, complain }) : undefined;
  if (siege) stats.phase = waits.calm;
  let siegeResult: SiegeResult | undefined;
  try {
    const end = AbortSignal.any([signal, AbortSignal.timeout(options.seconds * 1000)]);
    const running = driver.run(end);
    if (siege) {
      await sleep((options.seconds * 1000) / 3, undefined, { signal: end }).catch(() => {});
      print('the siege begins');
      stats.phase = waits.besieged;
      siege.begin();
    }
    await running;
    siegeResult = await siege?.end();
    const rest = !signal.aborted;
    await Promise.all([
      driver.drain({ deadline: Date.now() + settle * 1000, rest }),
      photographer?.finish({ settleSeconds: settle, rest }),
      keepers?.finish({ settleSeconds: settle, rest }),
    ]);
  } finally {
    await siege?.end();
    photographer?.stop();
    keepers?.stop();
    clearInterval(ticker);
  }
  print(line(driver.pending()));

  const reader = createReader(client, origins);
  const check = (seconds: number, stop?: AbortSignal): Promise<Verification> =>
    verify({
      ledger,
      reader,
      accounts: everyone,
      settleSeconds: seconds,
      ...(stop ? { signal: stop } : {}),
      onProgress: (equal, users) => print(`comparing: ${equal} of ${users} users equal`),
    });
  const verification = await check(settle);
  if (photographer) print('comparing screenshots');
  const shots = await photographer?.verify({ reader, accounts: everyone, settleSeconds: settle });
  if (keepers) print('comparing time entries and alerts');
  const checkTimes = async (seconds: number): Promise<TimeResult | undefined> =>
    keepers?.verify({ reader, usage: ledger, accounts, settleSeconds: seconds });
  const times = await checkTimes(settle);
  if (watchers) print('comparing what watchers were told');
  const watched = await watchers?.verify({ settleSeconds: settle });
  watchers?.stop();
  const unknown = driver.unknown();
  return {
    equal:
      verification.equal &&
      complaints.size === 0 &&
      unknown.size === 0 &&
      (shots?.equal ?? true) &&
      (times?.equal ?? true) &&
      (watched?.equal ?? true),
    screenshots: shots,
    times,
    watched,
    siege: siegeResult && { ...siegeResult, pings: waits },
    verification,
    stats,
    ledger,
    accounts: everyone,
    complaints,
    unknown,
    seed,
    runId,
    now,
    verify: (again = {}) => check(again.settle ?? settle, again.signal),
    verifyTimes: (again = {}) => checkTimes(again.settle ?? settle),
    close: () => client.close(),
  };
}
