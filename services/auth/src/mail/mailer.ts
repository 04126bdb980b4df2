import type { Pool } from '@worktide/postgres';
import { backoffMs, describeError, type Lifecycle, type Logger, type Metrics } from '@worktide/runtime';
import type { Act } from '../action.ts';
import { queueRequestedResets } from '../password-change/forgot.ts';
import { type Letter, writeLetter } from './letters.ts';
import { claimMails, giveUpMails, measureMails, postponeMail, type QueuedMail, removeMail } from './queue.ts';
import { MailError, type MailTransport } from './transport.ts';

export interface Mailer {
  /** There is a mail to be sent: call it after the commit. Without it the mail goes within two seconds. */
  wake(): void;
}

export interface MailerOptions {
  pool: Pool;
  act: Act;
  /** Absent where none is configured: mails wait, two days at most. */
  transport: MailTransport | undefined;
  /** Origin, or more, of the dashboard's pages that links lead to; no slash at its end. */
  publicUrl: string;
  log: Logger;
  metrics: Metrics;
  lifecycle: Lifecycle;
  /** How soon what other replicas left is seen; 2 s unless said. */
  pollMs?: number;
}

/** Mails under way at a time in one process. */
const batch = 5;
const baseBackoffMs = 2_000;
const maxBackoffMs = 15 * 60_000;
/** Closing gives mails under way this long; after that their lease ends by itself and they are sent again. */
const closeGraceMs = 5_000;

/**
 * Sends what is queued, for as long as the service runs; several replicas share the work. At least once: a crash
 * between the server's answer and ours sends a mail again, with a link of its own. A mail that fails is tried again,
 * ever more slowly up to every quarter of an hour, for two days.
 */
export function startMailer(options: MailerOptions): Mailer {
  const { pool, act, transport, publicUrl, log, lifecycle, pollMs = 2_000 } = options;
  const metrics = mailMetrics(options.metrics);
  if (!transport) log.warn('SMTP_URL is not set: mails wait in the queue, and are thrown away after two days');

  async function pass(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await queueRequestedResets(act)) > 0);
    while (transport && !signal.aborted) {
      const mails = await claimMails(pool, batch);
      await Promise.all(mails.map((mail) => deliver(transport, mail)));
      if (mails.length === 0) break;
    }
    for (const mail of await giveUpMails(pool)) {
      metrics.givenUp.inc({ kind: mail.kind, reason: 'too-old' });
      log.error({ mail }, 'a mail could not be sent for two days and is thrown away');
    }
    const { waiting, oldestSeconds } = await measureMails(pool);
    metrics.waiting.set(waiting);
    metrics.oldest.set(oldestSeconds);
  }

  async function deliver(transport: MailTransport, mail: QueuedMail): Promise<void> {
    const letter = await writeLetter(pool, mail, publicUrl);
    if (letter) {
      try {
        await transport.send(letter);
      } catch (error) {
        await noteFailure(mail, letter, error);
        return;
      }
      metrics.sent.inc({ kind: mail.kind });
    }
    await removeMail(pool, mail);
  }

  async function noteFailure(mail: QueuedMail, letter: Letter, error: unknown): Promise<void> {
    const { recipient: _, ...shown } = mail;
    metrics.failures.inc({ kind: mail.kind });
    // A mail that may have arrived keeps its link: the next attempt may be the one that fails.
    if (letter.tokenHash && !(error instanceof MailError && error.isUncertain)) {
      await pool.query('DELETE FROM auth.mail_tokens WHERE organization_id = $1 AND token_hash = $2', [
        mail.organizationId,
        letter.tokenHash,
      ]);
    }
    if (error instanceof MailError && error.isFinal) {
      metrics.givenUp.inc({ kind: mail.kind, reason: 'refused' });
      log.error({ err: error, mail: shown }, `a mail was refused and is thrown away: ${describeError(error)}`);
      await removeMail(pool, mail);
      return;
    }
    log.warn({ err: error, mail: shown }, `a mail was not sent and is tried again: ${describeError(error)}`);
    await postponeMail(pool, mail, backoffMs(mail.attempts - 1, baseBackoffMs, maxBackoffMs));
  }

  return lifecycle.every('auth mails', { everyMs: pollMs, graceMs: closeGraceMs }, pass);
}

function mailMetrics(metrics: Metrics) {
  const waiting = metrics.gauge('worktide_auth_mails_waiting', 'Mails not yet sent, of all replicas');
  const oldest = metrics.gauge('worktide_auth_mails_oldest_seconds', 'How long the oldest mail has waited');
  waiting.set(0);
  oldest.set(0);
  return {
    waiting,
    oldest,
    sent: metrics.counter('worktide_auth_mails_sent_total', 'Mails that the server took', ['kind']),
    failures: metrics.counter('worktide_auth_mail_failures_total', 'Attempts to send a mail that failed', ['kind']),
    givenUp: metrics.counter('worktide_auth_mails_given_up_total', 'Mails thrown away, refused or too old', [
      'kind',
      'reason',
    ]),
  };
}
