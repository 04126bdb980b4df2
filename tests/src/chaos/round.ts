import type { FleetResult } from '@worktide/fleet';
import { sleep } from '@worktide/runtime';
import { exactly, fleetDuring, shortRun, stillEqual, verdictOf } from '../support/fleet.ts';
import type { Target, Trouble } from './target.ts';

export interface RoundOptions {
  target: Target;
  /** How long things go wrong while the fleet works. */
  seconds: number;
  seed: number;
  /** Of the rounds before on the same target: they must still be equal afterwards. */
  earlier: FleetResult[];
  /** In [0, 1), seeded. */
  random: () => number;
  say: (text: string) => void;
}

const longestOutageMs = 60_000;

/** @returns what differs, in words; none where all is exact. */
export async function runRound(options: RoundOptions): Promise<string[]> {
  const { target, seconds, seed, earlier, random, say } = options;
  const pick = (troubles: Trouble[]): Trouble => troubles[Math.floor(random() * troubles.length)]!;
  const happen = async (trouble: Trouble): Promise<void> => {
    say(`  ${trouble.name}`);
    await trouble.happen();
  };

  const fleet = shortRun(target.url, {
    agents: 60,
    users: 30,
    foreign: 8,
    hostile: 5,
    rate: 600,
    days: 5,
    seed,
    settle: 180,
  });
  const result = await fleetDuring(fleet, async () => {
    const end = Date.now() + seconds * 1000;
    const outageAt = Date.now() + random() * seconds * 500;
    const outageMs = Math.round(Math.min(longestOutageMs, seconds * 400));
    let hadOutage = false;
    while (Date.now() < end) {
      await sleep(1_000 + random() * 5_000);
      if (!hadOutage && Date.now() >= outageAt) {
        hadOutage = true;
        await happen(pick(target.outage(outageMs)));
      } else await happen(pick(target.kills));
    }
    await target.ready();
  });
  // Access tokens end after a quarter of an hour, agent keys do not; later rounds ask again.
  for (const account of result.accounts) account.bearer = account.devices[0]!.agentKey;
  earlier.push(result);

  const problems: string[] = [];
  const compare = (what: string, verdict: object): void => {
    const same = JSON.stringify(verdict) === JSON.stringify(exactly);
    say(`  ${what}: ${same ? 'equal' : 'DIFFERENT'}`);
    if (!same) problems.push(`${what}: ${JSON.stringify(verdict, undefined, 2)}`);
  };
  const { acknowledged, retried } = result.stats;
  say(
    `  ${acknowledged} pings acknowledged, ${result.verification.entries} entries, retried ${JSON.stringify([...retried])}`,
  );
  compare('verdict', verdictOf(result));

  const before = await target.rows();
  say('  everything once more from the first record on');
  await target.replay();
  const after = await target.rows();
  if (after.fingerprint !== before.fingerprint)
    problems.push(`the replay has written rows (${before.rows} → ${after.rows})`);
  for (const [i, run] of earlier.entries()) compare(`after the replay, run ${i + 1}`, await stillEqual(run));
  return problems;
}
