/** What the load generator is told and what it answers; it is a process of its own, driven over Node's IPC. */
export interface LoadJob {
  port: number;
  connections: number;
  pingsPerRequest: number;
  users: number;
  /** Access tokens by user. */
  tokens: string[];
  warmUpMs: number;
  measureMs: number;
  /** What the requests say it in; our own unless said. Of others one item is a request. */
  protocol?: 'activitywatch' | 'wakatime';
  /** UTC midnight of the day that the pings are of. */
  day: number;
  /**
   * `repeat`: a few thousand requests made beforehand, over and over, so that the generator costs next to nothing.
   * `fresh`: every ping a new one, each user's in order from the first slot of the day on; stops where the day ends.
   */
  pings: 'repeat' | 'fresh';
}

export interface LoadResult {
  /** Within the measured time: pings of requests answered 202, and requests by status. */
  accepted: number;
  statuses: Record<string, number>;
  seconds: number;
  p50: number;
  p99: number;
  max: number;
  /** Warm-up included. */
  acceptedInAll: number;
  /** Likewise, by user. */
  acceptedByUser: number[];
}

export type FromLoad =
  | { type: 'measuring' }
  | { type: 'measured' }
  | { type: 'result'; result: LoadResult }
  | { type: 'failed'; message: string };
