import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import { codeOf } from '../agents/judge.ts';
import { type Answer, AnswerLost, type HttpClient, isTemporary, retryDelayMs } from '../client.ts';
import { increment } from '../progress.ts';
import type { ShotLedger } from './ledger.ts';
import { type Planned, requestOf, type Shot } from './shots.ts';

export interface ShotStats {
  /** Requests, repeats included. */
  requests: number;
  bytes: number;
  /** Requests with an id that had been acknowledged before. */
  again: number;
  /** Attempts that were refused for now, by status and code, or lost their answer (`lost`). */
  retried: Map<string, number>;
  /** Refused for good, by code. */
  refused: Map<string, number>;
}

/** One device that sends screenshots. */
export interface ShotAgent {
  account: Account;
  agentKey: string;
  plan: readonly Planned[];
}

export interface UploaderOptions {
  client: HttpClient;
  /** Origins of the gateway's replicas. */
  origins: readonly string[];
  ledger: ShotLedger;
  /** How long the run lasts, over which they are spread. */
  seconds: number;
  complain: (what: string) => void;
}

export interface Uploader {
  readonly stats: ShotStats;
  /** Ends all sending at once. */
  stop(): void;
  /** Sends the rest at once, or with `rest: false` only what was sent already, until all is answered or `seconds` pass. */
  finish(options: { seconds: number; rest: boolean }): Promise<void>;
}

/** At once over all agents: drawing and compressing them takes a core of its own. */
const parallelUploads = 6;
/** Asked this often without a refusal a hostile form counts as not answered. */
const attemptsOfRefused = 8;

/** Each agent sends its screenshots one after the other, from now on. */
export function startUploads(agents: readonly ShotAgent[], options: UploaderOptions): Uploader {
  const { client, origins, ledger, complain } = options;
  const stats: ShotStats = { requests: 0, bytes: 0, again: 0, retried: new Map(), refused: new Map() };
  const startedAt = Date.now();
  /** Aborted when the run is over and what is late is due. */
  const runOver = new AbortController();
  /** Aborted when nothing is waited for any more. */
  const allOver = new AbortController();
  let rest = true;
  let turn = 0;
  let free = parallelUploads;
  const waiting: (() => void)[] = [];

  async function withPlace<T>(work: () => Promise<T>): Promise<T> {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  }

  async function attempt(agent: ShotAgent, shot: Shot): Promise<Answer | undefined> {
    const { body, contentType } = await requestOf(shot);
    stats.requests++;
    stats.bytes += body.length;
    const headers = { authorization: `Bearer ${agent.agentKey}`, 'content-type': contentType };
    const path = '/api/v1/sync/screenshots';
    try {
      return await client.send(origins[turn++ % origins.length]!, { method: 'POST', path, headers, body });
    } catch (error) {
      if (error instanceof AnswerLost) return undefined;
      throw error;
    }
  }

  async function send(agent: ShotAgent, shot: Shot): Promise<void> {
    const { userId } = agent.account;
    const known = ledger.of(userId).get(shot.screenshotId);
    if (known?.fate === 'acknowledged') stats.again++;
    ledger.settle(userId, shot, 'unknown');
    for (let attempts = 1; !allOver.signal.aborted; attempts++) {
      const answer = await withPlace(() => attempt(agent, shot));
      if (answer && !isTemporary(answer.status)) return take(userId, shot, answer);
      increment(stats.retried, answer ? `${answer.status} ${codeOf(answer)}` : 'lost');
      if (shot.attack && attempts >= attemptsOfRefused) {
        complain(`screenshot, ${shot.attack.name}: no verdict in ${attempts} attempts`);
        return;
      }
      const wait = retryDelayMs(attempts, Math.random(), answer);
      await sleep(wait, undefined, { signal: allOver.signal }).catch(() => {});
    }
  }

  function take(userId: string, shot: Shot, answer: Answer): void {
    const wrong = wrongOf(shot, answer);
    if (wrong !== undefined) complain(`screenshot${shot.attack ? `, ${shot.attack.name}` : ''}: ${wrong}`);
    if (answer.status !== 202) increment(stats.refused, codeOf(answer));
    ledger.settle(userId, shot, answer.status === 202 ? 'acknowledged' : 'refused');
  }

  async function work(agent: ShotAgent): Promise<void> {
    for (const { shot, due } of agent.plan) {
      const at = due === 1 ? Number.POSITIVE_INFINITY : startedAt + due * options.seconds * 1000;
      // A timer holds 24 days at most; the end of the run comes first.
      const wait = Math.min(Math.max(0, at - Date.now()), 2 ** 31 - 1);
      await sleep(wait, undefined, { signal: runOver.signal }).catch(() => {});
      const sentBefore = ledger.of(agent.account.userId).has(shot.screenshotId);
      if (allOver.signal.aborted || (!rest && !sentBefore)) continue;
      await send(agent, shot);
    }
  }

  const done = Promise.all(agents.map(work));
  // Told by `finish`, which is called whatever happens before.
  done.catch(() => {});

  function stop(): void {
    runOver.abort();
    allOver.abort();
  }

  return {
    stats,
    stop,
    async finish(how) {
      rest = how.rest;
      runOver.abort();
      const timer = setTimeout(stop, how.seconds * 1000);
      try {
        await done;
      } finally {
        clearTimeout(timer);
        stop();
      }
    },
  };
}

/** What is wrong with a final answer; undefined where it is what it must be. */
function wrongOf({ screenshotId, attack }: Shot, answer: Answer): string | undefined {
  const code = codeOf(answer);
  if (answer.status === 202) {
    if (attack && !attack.failed) return 'expected a refusal, got 202';
    if (answer.text.includes(`"${screenshotId}"`)) return undefined;
    return `the answer does not name its id: ${answer.text.slice(0, 100)}`;
  }
  if (attack?.refused?.status === answer.status && attack.refused.code === code) return undefined;
  // What would fail later may be seen sooner, as long as it is said what it is.
  if (attack?.failed && answer.status >= 400 && answer.status < 500 && code !== '?') return undefined;
  const wanted = attack?.refused ? `${attack.refused.status} ${attack.refused.code}` : '202';
  return `expected ${wanted}, got ${answer.status} ${code}`;
}
