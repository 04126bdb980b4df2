import { AppError, backoffMs, type Caller, sleep } from '@worktide/runtime';

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/** Items of one transaction, by what they weigh. */
const mostAtOnce = 250;

/** Transactions of one organisation that are under way at once: while one is written to disk, another is thought about. */
const lanes = 3;

/**
 * Puts what comes while a transaction is under way into the next one: a commit costs far more than a heartbeat. Each
 * organisation has queues of its own, and what comes of one person stands in one of them, in the order in which it came.
 * @param takeAll takes items of one organisation, all or none; gives a result for each.
 * @param weigh how many of what a transaction holds an item has; one unless said.
 */
export function createGroupQueue<Item, Result>(
  takeAll: (organizationId: string, items: readonly Item[]) => Promise<Result[]>,
  weigh: (item: Item) => number = () => 1,
): (caller: Pick<Caller, 'organizationId' | 'userId'>, item: Item) => Promise<Result> {
  const queues = new Map<string, Waiting<Item, Result>[]>();

  async function take(organizationId: string, batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await takeAll(
        organizationId,
        batch.map(({ item }) => item),
      );
      for (const [i, { resolve }] of batch.entries()) resolve(results[i]!);
    } catch (error) {
      const isAway = error instanceof AppError && error.statusCode === 503;
      // One of them is to blame, and the others are not.
      if (batch.length > 1 && !isAway) for (const one of batch) await take(organizationId, [one]);
      else for (const { reject } of batch) reject(error);
    }
  }

  async function work(organizationId: string, name: string, queue: Waiting<Item, Result>[]): Promise<void> {
    while (queue.length > 0) {
      let count = 0;
      for (let weight = 0; count < queue.length && (count === 0 || weight < mostAtOnce); count++) {
        weight += weigh(queue[count]!.item);
      }
      await take(organizationId, queue.splice(0, count));
    }
    queues.delete(name);
  }

  return ({ organizationId, userId }, item) =>
    new Promise((resolve, reject) => {
      const name = `${organizationId} ${Number.parseInt(userId.slice(-4), 16) % lanes}`;
      const queue = queues.get(name);
      const one = { item, resolve, reject };
      if (queue) return void queue.push(one);
      const fresh = [one];
      queues.set(name, fresh);
      // The rest of what has come in this turn of the loop goes along.
      setImmediate(() => void work(organizationId, name, fresh));
    });
}

/** How long a heartbeat is held while something is away: its sender never tries again. */
const holdMs = 25_000;

/**
 * Does something again for as long as what it needs is away, for 25 s; clients wait for 30 or more.
 * @throws what it throws at last; at once what is no 503, or a refusal for want of room.
 */
export async function held<T>(work: () => Promise<T>, forMs = holdMs): Promise<T> {
  const end = performance.now() + forMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isAway = error instanceof AppError && error.statusCode === 503 && error.code !== 'QUEUE_FULL';
      const waitMs = backoffMs(attempt, 50, 1_000);
      if (!isAway || performance.now() + waitMs > end) throw error;
      await sleep(waitMs);
    }
  }
}
