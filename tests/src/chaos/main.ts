import { parseArgs } from 'node:util';
import type { FleetResult } from '@worktide/fleet';
import { createLifecycle, describeError, silentLogger } from '@worktide/runtime';
import { temporaryFolder } from '../support/product.ts';
import { clusterTarget } from './cluster.ts';
import { runRound } from './round.ts';
import { standaloneTarget } from './standalone.ts';
import type { Target } from './target.ts';

const usage = `npm run chaos -- [--rounds 5] [--minutes 10] [--seed n] [--on cluster,standalone] [--brokers 1]
Random kill -9 of every process, outages of up to a minute and replays while a fleet works; after each round the
fleet's ledger is compared with usage and reports. Rounds take turns on the targets and share the minutes.
Exit status: 0 all equal, 1 a difference or a part that did not recover, 2 bad arguments.`;

const targets = { cluster: clusterTarget, standalone: standaloneTarget };

function whole(text: string, name: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= max) return value;
  throw new Error(`--${name} must be a whole number from 1 to ${max}`);
}

function options() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1_000_000)) },
      on: { type: 'string', default: 'cluster,standalone' },
      brokers: { type: 'string', default: '1' },
    },
  });
  const on = values.on.split(',').map((name) => {
    if (name === 'cluster' || name === 'standalone') return name;
    throw new Error(`--on takes cluster, standalone or both`);
  });
  return {
    rounds: whole(values.rounds, 'rounds', 1_000),
    minutes: whole(values.minutes, 'minutes', 10_000),
    seed: whole(values.seed, 'seed', 2 ** 31),
    on,
    brokers: whole(values.brokers, 'brokers', 9),
  };
}

/** Mulberry32: the same seed makes the same choices. */
function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const say = (text: string): void => void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

let given: ReturnType<typeof options>;
try {
  given = options();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${usage}\n`);
  process.exit(2);
}

const lifecycle = createLifecycle({ log: silentLogger(), deadlineMs: 60_000 });
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => void lifecycle.close().then(() => process.exit(130)));
}

let failed = false;
try {
  const folder = await temporaryFolder();
  lifecycle.onClose('data', () => folder.remove());
  const random = seeded(given.seed);
  const started = new Map<string, { target: Target; runs: FleetResult[] }>();
  say(`chaos with --seed ${given.seed}: ${given.rounds} rounds, ${given.minutes} minutes`);
  for (let round = 0; round < given.rounds; round++) {
    const name = given.on[round % given.on.length]!;
    let on = started.get(name);
    if (!on) {
      say(`starting the ${name}`);
      on = { target: await targets[name](folder.dir, lifecycle, given.brokers), runs: [] };
      started.set(name, on);
    }
    say(`round ${round + 1} of ${given.rounds} on the ${name}`);
    const problems = await runRound({
      target: on.target,
      seconds: (given.minutes * 60) / given.rounds,
      seed: given.seed + round,
      earlier: on.runs,
      random,
      say,
    });
    for (const problem of problems) say(problem);
    if (problems.length > 0) failed = true;
  }
} catch (error) {
  say(`! ${describeError(error)}`);
  failed = true;
}
await lifecycle.close();
say(failed ? `verdict: DIFFERENT (again with --seed ${given.seed})` : 'verdict: equal');
process.exit(failed ? 1 : 0);
