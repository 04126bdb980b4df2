import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import { codeOf } from '../agents/judge.ts';
import { type Answer, AnswerLost, type HttpClient, isTemporary, type Outgoing, retryDelayMs } from '../client.ts';
import { increment } from '../progress.ts';

export interface TimeStats {
  /** Requests, repeats included. */
  requests: number;
  /** Attempts that were refused for now, by status and code, or lost their answer (`lost`). */
  retried: Map<string, number>;
}

export interface Sent {
  answer: Answer;
  /** An attempt before may have been done: it had no answer, or one that does not say. */
  isRepeat: boolean;
}

export interface SenderOptions {
  client: HttpClient;
  /** Of the gateway's replicas. */
  ingest: readonly string[];
  writer: string;
  auth: string;
  stats: TimeStats;
  /** Aborted when nothing is waited for any more. */
  over: AbortSignal;
}

/** Requests about time of people, each sent until it is answered for good. */
export interface Sender {
  /** As an agent of this person. @returns undefined where there was no answer to the end. */
  asAgent(account: Account, to: 'ingest' | 'writer', out: Outgoing): Promise<Sent | undefined>;
  /** As the person, logged in. */
  asPerson(account: Account, out: Outgoing): Promise<Sent | undefined>;
}

export function createSender(options: SenderOptions): Sender {
  const { client, ingest, writer, auth, stats, over } = options;
  const tokens = new Map<string, string>();
  let turn = 0;

  async function send(origin: () => string, out: Outgoing): Promise<Sent | undefined> {
    for (let attempts = 1; !over.aborted; attempts++) {
      let answer: Answer | undefined;
      stats.requests++;
      try {
        answer = await client.send(origin(), out);
      } catch (error) {
        if (!(error instanceof AnswerLost)) throw error;
      }
      if (answer && !isTemporary(answer.status)) return { answer, isRepeat: attempts > 1 };
      increment(stats.retried, answer ? `${answer.status} ${codeOf(answer)}` : 'lost');
      await sleep(retryDelayMs(attempts, Math.random(), answer), undefined, { signal: over }).catch(() => {});
    }
    return undefined;
  }

  const withBearer = (out: Outgoing, bearer: string): Outgoing => ({
    ...out,
    headers: {
      ...out.headers,
      authorization: `Bearer ${bearer}`,
      ...(out.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
  });

  async function logIn(account: Account): Promise<string | undefined> {
    const body = JSON.stringify(account.login);
    const headers = { 'content-type': 'application/json' };
    const sent = await send(() => auth, { method: 'POST', path: '/api/v1/auth/login', headers, body });
    if (!sent) return undefined;
    if (sent.answer.status !== 200) throw new Error(`a log-in was answered ${sent.answer.status}`);
    const { accessToken } = JSON.parse(sent.answer.text) as { accessToken: string };
    tokens.set(account.userId, accessToken);
    return accessToken;
  }

  return {
    asAgent(account, to, out) {
      const origin = to === 'writer' ? () => writer : () => ingest[turn++ % ingest.length]!;
      return send(origin, withBearer(out, account.devices[0]!.agentKey));
    },
    async asPerson(account, out) {
      const token = tokens.get(account.userId) ?? (await logIn(account));
      if (token === undefined) return undefined;
      const first = await send(() => writer, withBearer(out, token));
      if (first?.answer.status !== 401) return first;
      // An access token lives 15 minutes.
      const again = await logIn(account);
      return again === undefined ? undefined : send(() => writer, withBearer(out, again));
    },
  };
}
