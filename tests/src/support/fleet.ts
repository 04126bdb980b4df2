import { type FleetOptions, type FleetResult, runFleet } from '@worktide/fleet';
import { until } from '@worktide/testing';
import { metric } from './http.ts';

/**
 * What a run must come to: usage, reports, time entries and alerts as the ledger has them, no wrong answer, nothing of
 * unknown fate.
 */
export const exactly = { differences: [], timeDifferences: [], complaints: {}, unknownPings: 0, unknownTimes: 0 };

/** A result so that a failing assertion shows what differs. */
export function verdictOf(result: FleetResult): typeof exactly | object {
  return {
    differences: result.verification.differences,
    timeDifferences: result.times?.verification.differences ?? [],
    complaints: Object.fromEntries(result.complaints),
    unknownPings: [...result.unknown.values()].reduce((a, b) => a + b, 0),
    unknownTimes: result.times?.unknown ?? 0,
  };
}

/** Compares an earlier run once more. */
export const stillEqual = async (result: FleetResult): Promise<typeof exactly | object> =>
  verdictOf({
    ...result,
    verification: await result.verify({ settle: 60 }),
    times: await result.verifyTimes({ settle: 60 }),
  });

/**
 * A short run of `agents` × `pingsPerAgent` pings. What it costs is the comparison: dozens of reports for each user, again
 * and again until all is there. Few users, then; another seed has them in other zones.
 */
export const shortRun = (url: string, options: Partial<FleetOptions> = {}): FleetOptions => ({
  url,
  agents: 10,
  users: 4,
  foreign: 2,
  hostile: 3,
  pingsPerAgent: 150,
  // An upper bound: the run is over when every agent has made its pings.
  seconds: 120,
  rate: 300,
  days: 2,
  timers: 8,
  settle: 60,
  requestTimeoutMs: 15_000,
  ...options,
});

/**
 * Runs a fleet for as long as something happens to the product beside it, then lets it settle and compares.
 * @throws what `happen` throws, after the fleet has ended.
 */
export async function fleetDuring(options: FleetOptions, happen: () => Promise<void>): Promise<FleetResult> {
  const stop = new AbortController();
  const running = runFleet({
    ...options,
    pingsPerAgent: Number.POSITIVE_INFINITY,
    seconds: 3_600,
    signal: stop.signal,
  });
  // A fleet that cannot even begin ends the wait for what happens in the middle of it.
  const failed = running.then(
    () => new Promise<void>(() => {}),
    (error: unknown) => Promise.reject(error),
  );
  try {
    await Promise.race([happen(), failed]);
  } catch (error) {
    stop.abort();
    await running.catch(() => {});
    throw error;
  }
  stop.abort();
  return running;
}

/** Attempts that were refused or lost for the time being, of a kind: `503`, `lost`. */
export const retried = (result: FleetResult, kind: string): number =>
  [...result.stats.retried].reduce((sum, [name, count]) => (name.startsWith(kind) ? sum + count : sum), 0);

/** Waits until gateways have accepted this many more pings; counts begin anew with each of their starts. */
export async function accepted(origins: string[], count: number): Promise<void> {
  const total = async (): Promise<number> => {
    const counts = await Promise.all(origins.map((origin) => metric(origin, 'worktide_pings_accepted_total')));
    return counts.reduce((a, b) => a + b, 0);
  };
  const before = await until('metrics of the gateways', total);
  await until(`${count} more accepted pings`, async () => (await total()) >= before + count, { seconds: 60 });
}
