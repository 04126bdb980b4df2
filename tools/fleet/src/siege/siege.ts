import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import type { Origins } from '../options.ts';
import { createLatency, increment, type Latency } from '../progress.ts';
import { type Attack, attacks } from './attacks.ts';
import { createSender } from './sender.ts';

/** What people do who have nothing to do with it: one request after the other, all along. */
export interface Bystander {
  name: string;
  /** Ms from one to the next. */
  everyMs: number;
  /** Resolves when it was answered as it must be. @throws what is wrong with the answer. */
  act(): Promise<void>;
}

export interface SiegeResult {
  /** Answers that the attackers had, by attack. */
  outcomes: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** How long bystanders waited, before it began and while it went on. */
  bystanders: ReadonlyMap<string, { calm: Latency; besieged: Latency }>;
}

export interface Siege {
  /** Lets the attackers begin. */
  begin(): void;
  /** Ends it all. */
  end(): Promise<SiegeResult>;
}

/** Always right where they say when to come back: a bounded product says no. */
const comeBack = /^(429|503) /;

/** @param attackers as many as `attackersNeeded`. */
export function startSiege(options: {
  origins: Origins;
  attackers: readonly Account[];
  bystanders: readonly Bystander[];
  complain: (what: string) => void;
}): Siege {
  const { origins, attackers, bystanders, complain } = options;
  const stop = new AbortController();
  const sender = createSender(stop.signal);
  const outcomes = new Map<string, Map<string, number>>(attacks.map(({ name }) => [name, new Map()]));
  const waits = new Map(bystanders.map(({ name }) => [name, { calm: createLatency(), besieged: createLatency() }]));
  const running: Promise<void>[] = [];
  let besieged = false;

  async function lane(attack: Attack, attacker: Account, next: () => number): Promise<void> {
    while (!stop.signal.aborted) {
      const shot = attack.shot(attacker, next());
      if (!shot) return;
      const outcome = await sender.fire(attack.origin(origins), shot);
      if (outcome === 'ended') return;
      increment(outcomes.get(attack.name)!, outcome);
      if (!attack.answers.test(outcome) && !comeBack.test(outcome)) complain(`${attack.name}: ${outcome}`);
      await sleep(attack.everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  }

  async function stand({ name, everyMs, act }: Bystander): Promise<void> {
    while (!stop.signal.aborted) {
      const wait = besieged ? waits.get(name)!.besieged : waits.get(name)!.calm;
      const began = performance.now();
      try {
        await act();
        wait.add(performance.now() - began);
      } catch (error) {
        if (!stop.signal.aborted) complain(`${name}, by somebody else: ${(error as Error).message}`);
      }
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  }

  for (const bystander of bystanders) running.push(stand(bystander));
  return {
    begin() {
      besieged = true;
      for (const attack of attacks) {
        let n = 0;
        const attacker = attackers[attack.by]!;
        for (let lanes = 0; lanes < attack.parallel; lanes++) running.push(lane(attack, attacker, () => n++));
      }
    },
    async end() {
      stop.abort();
      await Promise.all(running);
      return { outcomes, bystanders: waits };
    },
  };
}
