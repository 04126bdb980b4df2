import type { Audit } from '@worktide/audit';
import { type Outbox, type Pool, transactionWithEvents } from '@worktide/postgres';
import { backoffMs, describeError, type Lifecycle, type Logger, stopWith } from '@worktide/runtime';
import type { Teller } from '../notifications/tell.ts';
import {
  type Claim,
  claimWebhook,
  type DueDelivery,
  longestPauseMs,
  measureDeliveries,
  nextDelivery,
  releaseWebhook,
  type Settled,
  settleTry,
} from './claims.ts';
import type { WebhookMetrics } from './metrics.ts';
import { countSwitchedOff, noteSwitchedOff } from './off.ts';
import type { Secrets } from './secrets.ts';
import { type Outcome, type SendTerms, send } from './send.ts';
import { signatureHeaders } from './sign.ts';

export interface WebhookWorkersOptions extends SendTerms {
  pool: Pool;
  outbox: Pick<Outbox, 'write' | 'committed'>;
  audit: Pick<Audit, 'events'>;
  teller: Pick<Teller, 'push'>;
  secrets: Secrets;
  concurrency: number;
  metrics: WebhookMetrics;
  log: Logger;
  lifecycle: Lifecycle;
  /** How soon what other replicas left is seen; 1 s unless said. */
  pollMs?: number;
  /** How soon the work of a dead process is taken over, 30 s unless said; longer than a try takes. */
  leaseMs?: number;
  /** Until a delivery that has failed so often is tried again, `pauseMs` below unless said. */
  pauseMs?: (attempts: number) => number;
  /** The longest that a receiver that fails is left alone, a minute unless said. */
  longestPauseMs?: number;
  /** A day unless said. */
  giveUpMs?: number;
}

export interface WebhookWorkers {
  /** There is something to do: call it after the commit. Without it, it is seen within a second. */
  wake(): void;
}

const seconds = [5, 30, 120, 300, 900, 1_800, 3_600];
/** A tenth more or less, so that those that failed together part ways. */
const pauseMs = (attempts: number): number =>
  seconds[Math.min(attempts, seconds.length) - 1]! * 1_000 * (0.9 + Math.random() / 5);

/** A receiver with much to take gives its place to others after this. */
const quantumMs = 5_000;
const measureEveryMs = 5_000;
/** Closing gives tries under way this long to end. */
const closeGraceMs = 5_000;
/** Where a fault is ours. */
const ownPauseMs = 30_000;

/**
 * Delivers, for as long as the service runs, to `concurrency` webhooks at a time and to each one delivery after the other;
 * several replicas share the work. At least once: what a killed process had sent and not noted is sent again, under the same id.
 * An organisation has a quarter of the places at most, and those that fail half of them together, so that no number of receivers
 * that hang keeps the others waiting.
 */
export function startWebhookWorkers(options: WebhookWorkersOptions): WebhookWorkers {
  const { pool, outbox, audit, teller, secrets, concurrency, metrics, log, lifecycle } = options;
  const { pollMs = 1_000, leaseMs = 30_000 } = options;
  const terms = {
    leaseMs,
    pauseMs: options.pauseMs ?? pauseMs,
    ...(options.giveUpMs === undefined ? {} : { giveUpMs: options.giveUpMs }),
  };
  const placesOfFailing = Math.max(1, Math.floor(concurrency / 2));
  const ofOrganization = Math.max(1, Math.floor(concurrency / 4));
  const stop = new AbortController();
  const cut = new AbortController();
  const running = new Map<Promise<void>, Claim>();
  let measuredAt = Number.NEGATIVE_INFINITY;

  /** Never rejects. */
  async function work(claim: Claim): Promise<void> {
    const about = { organizationId: claim.organizationId, webhookId: claim.id };
    try {
      const keys = secretsOf(claim);
      let waitMs = 0;
      for (const end = performance.now() + quantumMs; performance.now() < end && !stop.signal.aborted; ) {
        const delivery = await nextDelivery(pool, claim);
        if (!delivery) break;
        const outcome = await sendOne(claim, keys, delivery);
        if (cut.signal.aborted) break;
        const settled = await settle(claim, delivery, outcome);
        if (settled.isLost) {
          metrics.lost.inc();
          log.info(about, 'a webhook was taken by others, or is gone, while it was delivered to');
          return;
        }
        if (settled.becomes === 'failed') metrics.failed.inc();
        if (settled.becomes !== 'waiting' && !settled.off) continue;
        waitMs = Math.min(settled.pauseMs, options.longestPauseMs ?? longestPauseMs);
        break;
      }
      await releaseWebhook(pool, claim, waitMs);
    } catch (error) {
      log.warn({ err: error, ...about }, `deliveries of a webhook are put off: ${describeError(error)}`);
      // Where the database is away the lease ends by itself.
      await releaseWebhook(pool, claim, ownPauseMs).catch(() => {});
    }
  }

  function secretsOf({ id, secret, oldSecret }: Claim): string[] {
    return [secret, ...(oldSecret === null ? [] : [oldSecret])].map((sealed) => secrets.open(sealed, id));
  }

  async function sendOne(claim: Claim, keys: readonly string[], delivery: DueDelivery): Promise<Outcome> {
    const { id, event, payload: body } = delivery;
    const headers = {
      'Content-Type': 'application/json',
      'User-Agent': 'Worktide-Webhooks/1',
      'X-Worktide-Event': event,
      'X-Worktide-Delivery': id,
      ...signatureHeaders(keys, { id, seconds: Math.floor(Date.now() / 1_000), body }),
    };
    const outcome = await send(options, { url: claim.url, headers, body }, cut.signal);
    if (cut.signal.aborted) return outcome;
    metrics.tries.inc({ outcome: outcome.failure?.code ?? 'taken' });
    metrics.seconds.observe(outcome.durationMs / 1_000);
    return outcome;
  }

  async function settle(claim: Claim, delivery: DueDelivery, outcome: Outcome): Promise<Settled> {
    const { result } = await transactionWithEvents({ pool, outbox }, async (client, tell) => {
      const settled = await settleTry(client, claim, delivery, outcome, terms);
      const off = settled.off ? [settled.off] : [];
      return { settled, off, rows: await noteSwitchedOff(client, off, { audit, tell }) };
    });
    teller.push(result.rows);
    countSwitchedOff(result.off, metrics, log);
    return result.settled;
  }

  const failingNow = (): number => [...running.values()].filter(({ isFailing }) => isFailing).length;

  async function look(): Promise<void> {
    if (performance.now() - measuredAt >= measureEveryMs) {
      const { waiting, oldestSeconds, failing } = await measureDeliveries(pool);
      metrics.waiting.set(waiting);
      metrics.oldest.set(oldestSeconds);
      metrics.failing.set(failing);
      measuredAt = performance.now();
    }
    while (running.size < concurrency && !stop.signal.aborted) {
      const claim = await claimWebhook(pool, { leaseMs, failing: failingNow() < placesOfFailing, ofOrganization });
      if (!claim) return;
      const ended = work(claim).finally(() => {
        running.delete(ended);
        metrics.running.set(running.size);
        looking.wake();
      });
      running.set(ended, claim);
      metrics.running.set(running.size);
    }
  }

  const looking = lifecycle.every(
    'deliveries to be made',
    { everyMs: pollMs, retryMs: (failures) => backoffMs(failures, pollMs, 15_000), graceMs: 0 },
    look,
  );
  lifecycle.onClose('webhook workers', async () => {
    stop.abort();
    // What is being claimed now is given back, too.
    await stopWith(looking, () => running.keys(), closeGraceMs);
    // What is still under way is sent again by whoever takes it up.
    cut.abort();
    await Promise.allSettled(running.keys());
  });
  return { wake: looking.wake };
}
