import type { PingEvent } from '@worktide/schemas';
import { createHistogram } from '../statistics.ts';
import { createBodies, pingEventAt, slotsPerDay, userId } from '../workload.ts';
import { type Connection, openConnection } from './connection.ts';
import type { LoadJob, LoadResult } from './protocol.ts';

/** Requests made beforehand: twice as many as there are users of the largest run. */
const pooledRequests = 4_000;
/** A refused request is not sent again; what is refused costs the server little, so we slow down instead of spinning. */
const pauseAfterRefusalMs = 20;

interface Request {
  user: number;
  data: Buffer | string;
}

/** How other systems' agents say what a ping says. */
const foreign = {
  activitywatch: {
    path: '/api/0/buckets/aw-watcher-window_bench/heartbeat?pulsetime=15',
    body: ({ startedAt, app, title }: PingEvent) => ({
      timestamp: new Date(startedAt),
      duration: 0,
      data: { app, title },
    }),
  },
  wakatime: {
    path: '/api/v1/users/current/heartbeats',
    body: ({ startedAt, title }: PingEvent) => ({
      entity: title,
      type: 'file',
      time: startedAt / 1_000,
      project: 'bench',
      language: 'TypeScript',
      is_write: false,
      user_agent: 'wakatime/v1.102.1 (linux-6.1.0) go1.22.4 vscode/1.91.1 vscode-wakatime/24.6.0',
    }),
  },
} as const;
const taken = new Set([200, 201, 202]);

function createRequests(job: LoadJob): () => Request | undefined {
  const { users, tokens, pingsPerRequest, day, port } = job;
  const other = job.protocol && foreign[job.protocol];
  const bodies = other
    ? (user: number, slot: number): string => latin1(JSON.stringify(other.body(pingEventAt(day, user, slot))))
    : createBodies(day);
  const heads = Array.from(
    { length: users },
    (_, user) =>
      `POST ${other?.path ?? '/api/v1/pings'} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${tokens[user]}\r\nX-User: ${userId(user)}\r\nContent-Type: application/json\r\nContent-Length: `,
  );
  const make = (n: number): Request => {
    const user = n % users;
    const body = bodies(user, Math.floor(n / users) * pingsPerRequest, pingsPerRequest);
    return { user, data: `${heads[user]}${body.length}\r\n\r\n${body}` };
  };
  let n = 0;
  if (job.pings === 'fresh') {
    const requests = users * Math.floor(slotsPerDay / pingsPerRequest);
    return () => (n < requests ? make(n++) : undefined);
  }
  const pool = Array.from({ length: pooledRequests }, (_, i) => {
    const { user, data } = make(i);
    return { user, data: Buffer.from(data as string, 'latin1') };
  });
  return () => pool[n++ % pool.length];
}

/** Requests are written byte by byte. */
const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

/**
 * Keeps every connection busy for the warm-up and the measured time, then waits for the last answers, so that what
 * was accepted is known to the ping.
 */
export async function runLoad(job: LoadJob, tell: (what: 'measuring' | 'measured') => void): Promise<LoadResult> {
  const { pingsPerRequest, connections, warmUpMs, measureMs } = job;
  const next = createRequests(job);
  const acceptedByUser: number[] = new Array(job.users).fill(0);
  const statuses: Record<string, number> = {};
  const latencies = createHistogram();
  const expectedBody = JSON.stringify({ accepted: pingsPerRequest, rejected: [] });
  let accepted = 0;
  let measuring = false;
  let over = false;
  let failure: Error | undefined;
  let startedAt = 0;
  let endedAt = 0;

  async function drive(): Promise<void> {
    let connection: Connection;
    let settle: () => void = () => {};
    let current: Request | undefined;
    let sentAt = 0;
    const done = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const sendNext = (): void => {
      current = over || failure ? undefined : next();
      if (!current) {
        settle();
        return;
      }
      sentAt = performance.now();
      connection.send(current.data);
    };
    connection = await openConnection({
      port: job.port,
      expectedBody,
      onFailure(error) {
        failure ??= error;
        settle();
      },
      onAnswer(status, body) {
        const now = performance.now();
        if (taken.has(status)) {
          if (!job.protocol && body !== expectedBody) throw new Error(`an unexpected answer: ${body}`);
          acceptedByUser[current!.user]! += pingsPerRequest;
        }
        if (measuring) {
          if (taken.has(status)) {
            accepted += pingsPerRequest;
            latencies.add(now - sentAt);
          }
          statuses[status] = (statuses[status] ?? 0) + 1;
        }
        if (taken.has(status)) sendNext();
        else if (status === 503) setTimeout(sendNext, pauseAfterRefusalMs);
        else throw new Error(`answered ${status}: ${body}`);
      },
    });
    sendNext();
    await done;
    connection.close();
  }

  const begin = setTimeout(() => {
    measuring = true;
    startedAt = performance.now();
    tell('measuring');
  }, warmUpMs);
  const end = setTimeout(() => {
    over = true;
    stopMeasuring();
  }, warmUpMs + measureMs);
  function stopMeasuring(): void {
    if (!measuring) return;
    measuring = false;
    endedAt = performance.now();
    tell('measured');
  }
  await Promise.all(Array.from({ length: connections }, drive));
  clearTimeout(begin);
  clearTimeout(end);
  // Fresh pings may run out before the time does.
  stopMeasuring();
  if (failure) throw failure;
  return {
    accepted,
    statuses,
    seconds: (endedAt - startedAt) / 1_000,
    p50: latencies.percentile(0.5),
    p99: latencies.percentile(0.99),
    max: latencies.percentile(1),
    acceptedInAll: acceptedByUser.reduce((sum, n) => sum + n, 0),
    acceptedByUser,
  };
}
