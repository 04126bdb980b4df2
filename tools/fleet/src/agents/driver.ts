import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import { type Answer, AnswerLost, type HttpClient, isTemporary, retryDelayMs } from '../client.ts';
import type { Ledger } from '../oracle/ledger.ts';
import { increment, type Stats } from '../progress.ts';
import { codeOf, judge } from './judge.ts';
import type { PingRequest, Script } from './uploads.ts';

/** One device that posts pings. */
export interface Agent {
  account: Account;
  deviceId: string;
  agentKey: string;
  script: Script;
  /** Requests in the air at once. */
  parallel: number;
  /** How many pings it makes, or no bound. */
  pingsLeft: number;
}

export interface DriverOptions {
  client: HttpClient;
  /** Origins of the gateway's replicas. */
  origins: readonly string[];
  /** Of what speaks other systems' protocols. */
  foreignOrigin: string;
  ledger: Ledger;
  stats: Stats;
  /** Pings a second of all agents together; no pace where undefined. */
  rate: number | undefined;
  maxInFlight: number;
  /** The longest wait before another try; as asked unless said. */
  maxWaitMs?: number;
  /** Called for every answer that is not what it must be. */
  complain: (what: string) => void;
}

export interface Driver {
  /** Requests made and not yet acknowledged or refused. */
  pending(): number;
  /** Makes and sends pings until the signal aborts or every agent has made all it should. */
  run(signal: AbortSignal): Promise<void>;
  /** Sends what is left until all is answered or the deadline passes. @param rest also what agents held back. */
  drain(options: { deadline: number; rest: boolean }): Promise<void>;
  /** Pings sent whose fate is not known: no answer, or only temporary refusals. By user. */
  unknown(): Map<string, number>;
}

interface Job {
  request: PingRequest;
  attempts: number;
}

interface Running extends Agent {
  queue: Job[];
  inFlight: Set<Job>;
  /** No new pings before this, epoch ms. */
  nextAt: number;
  /** No request at all before this: the service asked for it. */
  backOffUntil: number;
}

const tickMs = 5;
/** A hostile request may be cut off instead of refused; asked this often it counts as no answer. */
const attemptsOfRefused = 8;
const attemptsInCrowd = 80;

/**
 * One loop for all agents instead of a timer each: thousands of agents cost thousands of comparisons a tick.
 */
export function createDriver(agents: readonly Agent[], options: DriverOptions): Driver {
  const { client, origins, ledger, stats, maxWaitMs = Number.POSITIVE_INFINITY } = options;
  const perAgent = options.rate === undefined ? undefined : options.rate / Math.max(1, agents.length);
  const startedAt = Date.now();
  const running: Running[] = agents.map((agent, i) => ({
    ...agent,
    queue: [],
    inFlight: new Set(),
    // Spread over the first second, so that a fleet does not start as one burst.
    nextAt: startedAt + (perAgent === undefined ? 0 : (1000 * i) / agents.length),
    backOffUntil: 0,
  }));
  let inFlight = 0;
  let making = true;
  let turn = 0;
  /** A mistake of the fleet's own, not of the service: ends the run. */
  let failure: unknown;

  function makePings(agent: Running, now: number): void {
    if (agent.queue.length > 0 || agent.pingsLeft <= 0 || agent.nextAt > now) return;
    const requests = agent.script.next();
    const made = requests.reduce((sum, r) => sum + r.items.length, 0);
    for (const request of requests) agent.queue.push({ request, attempts: 0 });
    agent.pingsLeft -= Math.max(made, 1);
    // Behind by more than a second is not made up for: the service is what is slow then.
    if (perAgent !== undefined)
      agent.nextAt = Math.max(agent.nextAt, now - 1000) + (1000 * Math.max(made, 1)) / perAgent;
  }

  /** Starts what this agent may send now. */
  function pump(agent: Running): void {
    const now = Date.now();
    if (making && agent.inFlight.size === 0) makePings(agent, now);
    while (agent.queue.length > 0 && agent.inFlight.size < agent.parallel && inFlight < options.maxInFlight) {
      if (agent.backOffUntil > now) return;
      send(agent, agent.queue.shift()!).catch((error: unknown) => {
        failure ??= error;
      });
    }
  }

  async function send(agent: Running, job: Job): Promise<void> {
    const { request } = job;
    agent.inFlight.add(job);
    inFlight++;
    job.attempts++;
    stats.requests++;
    stats.sent += request.items.length;
    const sentAt = performance.now();
    let answer: Answer | undefined;
    try {
      const origin = request.path === undefined ? origins[turn++ % origins.length]! : options.foreignOrigin;
      answer = await client.send(origin, {
        method: 'POST',
        path: request.path ?? '/api/v1/pings',
        headers: headersOf(agent, request),
        body: request.body,
      });
    } catch (error) {
      if (!(error instanceof AnswerLost)) throw error;
    } finally {
      agent.inFlight.delete(job);
      inFlight--;
    }
    if (answer?.status === 202 && request.path === undefined) {
      const ms = performance.now() - sentAt;
      stats.latency.add(ms);
      stats.phase?.add(ms);
    }
    settle(agent, job, answer);
    // Near the bound the next free place belongs to whoever is next in the loop, not to the same agent again.
    if (inFlight < options.maxInFlight / 2) pump(agent);
  }

  function settle(agent: Running, job: Job, answer: Answer | undefined): void {
    const { request } = job;
    if (answer && !isTemporary(answer.status)) {
      const judged = judge(request, answer);
      for (const ping of judged.acknowledged) ledger.acknowledge(agent.account.userId, agent.deviceId, ping);
      for (const code of judged.rejectedCodes) increment(stats.rejected, code);
      stats.acknowledged += judged.acknowledged.length;
      if (judged.complaint !== undefined) options.complain(judged.complaint);
      return;
    }
    const last = answer ? `${answer.status} ${codeOf(answer)}` : 'lost';
    increment(stats.retried, last);
    // That there are too many at once is about the others.
    const most = answer?.status === 429 ? attemptsInCrowd : attemptsOfRefused;
    if ('codes' in request.expected && job.attempts >= most) {
      options.complain(`${request.attack}: no refusal in ${job.attempts} attempts, at last ${last}`);
      return;
    }
    // First in line again: what comes after it in the script must not overtake it for ever.
    agent.queue.unshift(job);
    const waitMs = Math.min(retryDelayMs(job.attempts, Math.random(), answer), maxWaitMs);
    agent.backOffUntil = Date.now() + waitMs;
  }

  const pending = (): number => running.reduce((sum, a) => sum + a.queue.length + a.inFlight.size, 0);

  async function loop(until: () => boolean): Promise<void> {
    for (let first = 0; !until(); first++) {
      // A different agent is first each time, so that the bound on requests in the air starves none.
      for (let i = 0; i < running.length; i++) pump(running[(first + i) % running.length]!);
      await sleep(tickMs);
      if (failure !== undefined) throw failure;
    }
  }

  return {
    pending,
    async run(signal) {
      const exhausted = (): boolean => running.every((a) => a.pingsLeft <= 0) && pending() === 0;
      await loop(() => signal.aborted || exhausted());
      making = false;
    },
    async drain({ deadline, rest }) {
      making = false;
      // What was never sent is nobody's business; what was sent once must come to an end.
      for (const agent of running) {
        agent.queue = agent.queue.filter((job) => rest || job.attempts > 0);
        if (rest) for (const request of agent.script.rest()) agent.queue.push({ request, attempts: 0 });
      }
      await loop(() => pending() === 0 || Date.now() > deadline);
    },
    unknown() {
      const counts = new Map<string, number>();
      for (const { account, queue, inFlight: flying } of running) {
        const open = [...flying, ...queue].filter((job) => job.attempts > 0);
        const pings = open.filter((job) => !('codes' in job.request.expected));
        const count = pings.reduce((sum, job) => sum + job.request.items.length, 0);
        if (count > 0) increment(counts, account.userId, count);
      }
      return counts;
    },
  };
}

function headersOf(agent: Agent, request: PingRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  if (request.contentType !== undefined) headers['content-type'] = request.contentType;
  const authorization = request.authorization === undefined ? `Bearer ${agent.agentKey}` : request.authorization;
  if (authorization !== null) headers.authorization = authorization;
  return headers;
}
