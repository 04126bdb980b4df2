import type { Account } from '../accounts.ts';
import type { HttpClient } from '../client.ts';
import { increment } from '../progress.ts';
import { createRandom } from '../random.ts';
import { createShotLedger } from './ledger.ts';
import { planShots } from './shots.ts';
import { type ShotStats, startUploads } from './upload.ts';
import { type ShotVerification, type ShotVerifyOptions, verifyShots } from './verify.ts';

export interface ShotResult {
  /** What is shown is what it must be, and the fate of every screenshot is known. */
  equal: boolean;
  stats: ShotStats;
  acknowledged: number;
  /** Sent without an answer to the end. */
  unknown: number;
  verification: ShotVerification;
}

export interface ShotsOptions {
  client: HttpClient;
  /** Origins of the gateway's replicas. */
  origins: readonly string[];
  agents: readonly { account: Account; deviceId: string; agentKey: string; hostile: boolean }[];
  perAgent: number;
  /** How long the run lasts. */
  seconds: number;
  /** "Now" of the simulated time, epoch ms. */
  now: number;
  seed: number;
  runId: string;
  complain: (what: string) => void;
}

/** The screenshots' side of a run. */
export interface Shots {
  /** Sends the rest (with `rest: false` only what was begun) and waits until all is answered, or no longer. */
  finish(options: { settleSeconds: number; rest: boolean }): Promise<void>;
  /** Ends all sending at once. */
  stop(): void;
  verify(options: Omit<ShotVerifyOptions, 'ledger'>): Promise<ShotResult>;
}

/** Requests of one user to `/sync/*` in a minute. */
const syncLimitPerMinute = 60;

export function startShots(options: ShotsOptions): Shots {
  const { agents, perAgent, now, seed, runId } = options;
  const ledger = createShotLedger();
  const plans = agents.map(({ account, deviceId, agentKey, hostile }, i) => {
    const random = createRandom(seed, 'screenshots', i);
    const ids = createRandom(seed, runId, 'screenshot ids', i);
    return { account, agentKey, plan: planShots({ count: perAgent, now, deviceId, hostile, random, ids }) };
  });
  const uploads = startUploads(plans, { ...options, ledger });

  /** Seconds by which the limit alone makes the last ones of a user late. */
  function waitOfLimit(): number {
    const ofUser = new Map<string, number>();
    for (const { account, plan } of plans) increment(ofUser, account.userId, plan.length);
    const minutes = Math.max(0, ...[...ofUser.values()].map((n) => Math.floor(n / syncLimitPerMinute)));
    return 60 * minutes;
  }

  return {
    stop: () => uploads.stop(),
    finish: ({ settleSeconds, rest }) => uploads.finish({ seconds: settleSeconds + waitOfLimit(), rest }),
    async verify(how) {
      const verification = await verifyShots({ ...how, ledger });
      const unknown = ledger.count('unknown');
      return {
        equal: verification.equal && unknown === 0,
        stats: uploads.stats,
        acknowledged: ledger.count('acknowledged'),
        unknown,
        verification,
      };
    },
  };
}
