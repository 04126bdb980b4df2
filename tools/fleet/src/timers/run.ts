import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import type { HttpClient } from '../client.ts';
import { createRandom } from '../random.ts';
import { createTimeLedger } from './ledger.ts';
import { createPerson, isNoAnswer } from './person.ts';
import { planEntries, planMinutes } from './plan.ts';
import { createSender, type TimeStats } from './send.ts';
import { type TimeVerification, type TimeVerifyOptions, verifyTimes } from './verify.ts';

export interface TimeResult {
  /** Entries, their seconds, input counts and alerts are what they must be, and every request was answered. */
  equal: boolean;
  stats: TimeStats;
  /** People who were left without an answer. */
  unknown: number;
  verification: TimeVerification;
}

export interface TimersOptions {
  client: HttpClient;
  origins: { ingest: readonly string[]; usage: string; auth: string };
  accounts: readonly Account[];
  /** Time entries of each person. */
  perUser: number;
  /** "Now" of the simulated time, epoch ms. */
  now: number;
  days: number;
  seed: number;
  runId: string;
  complain: (what: string) => void;
}

/** The time entries' side of a run. */
export interface Timers {
  /** Does the rest without pauses (with `rest: false` only what was begun) until all is answered, or no longer. */
  finish(options: { settleSeconds: number; rest: boolean }): Promise<void>;
  /** Ends all sending at once. */
  stop(): void;
  verify(options: Omit<TimeVerifyOptions, 'ledger'>): Promise<TimeResult>;
}

/** Between two requests of one person, at most. */
const longestPauseMs = 400;
/** Alerts are looked for so often, where the product is not told otherwise. */
const scanSeconds = 60;
/** How long the timer that is left has run already: longer than what is an alert. */
const leftMs = 20 * 60_000;

/** Each person keeps their time, entry by entry, while their devices send pings; in the end a timer is left running. */
export function startTimers(options: TimersOptions): Timers {
  const { client, origins, accounts, perUser, now, days, seed, runId, complain } = options;
  const ledger = createTimeLedger();
  const stats: TimeStats = { requests: 0, retried: new Map() };
  const hurry = new AbortController();
  const over = new AbortController();
  let rest = true;
  let unknown = 0;
  const { ingest, usage: writer, auth } = origins;
  const sender = createSender({ client, ingest, writer, auth, stats, over: over.signal });

  async function work(account: Account, i: number): Promise<void> {
    const random = createRandom(seed, 'timers', i);
    const ids = createRandom(seed, runId, 'timer ids', i);
    const pause = async (): Promise<boolean> => {
      const ms = hurry.signal.aborted ? 0 : random.int(0, longestPauseMs);
      if (ms > 0) await sleep(ms, undefined, { signal: hurry.signal }).catch(() => {});
      return rest && !over.signal.aborted;
    };
    const person = createPerson(account, { sender, ledger, complain, pause });
    const plans = planEntries({ count: perUser, now, days, random: createRandom(seed, 'entries', i), ids });
    const { deviceId } = account.devices[0]!;
    const uploads = planMinutes({ count: perUser * 3, now, days, random: createRandom(seed, 'minutes', i) });
    const leftFrom = Date.now() - leftMs;
    const done = await Promise.allSettled([
      person.keep(plans).then(() => person.leave(ids.uuidv7(leftFrom), leftFrom)),
      person.count(deviceId, uploads),
    ]);
    for (const one of done) {
      if (one.status === 'fulfilled') continue;
      if (!isNoAnswer(one.reason)) throw one.reason;
      unknown++;
    }
  }

  const all = Promise.all(accounts.map(work));
  // Told by `finish`, which is called whatever happens before.
  all.catch(() => {});

  function stop(): void {
    hurry.abort();
    over.abort();
  }

  return {
    stop,
    async finish(how) {
      rest = how.rest;
      hurry.abort();
      const timer = setTimeout(stop, how.settleSeconds * 1000);
      try {
        await all;
      } finally {
        clearTimeout(timer);
        stop();
      }
    },
    async verify(how) {
      const settleSeconds = how.settleSeconds + scanSeconds;
      const verification = await verifyTimes({ ...how, settleSeconds, ledger });
      return { equal: verification.equal && unknown === 0, stats, unknown, verification };
    },
  };
}
