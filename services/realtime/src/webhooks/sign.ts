import { createHmac, randomBytes } from 'node:crypto';

const prefix = 'whsec_';

/** `whsec_` and 32 random bytes in base64, as Standard Webhooks has them. */
export const newSecret = (): string => prefix + randomBytes(32).toString('base64');

/**
 * The headers that prove a delivery, in two ways: `X-Worktide-Signature`, as in billing, over `<t>.<body>` with the secret as
 * text, and those of Standard Webhooks over `<id>.<t>.<body>` with the bytes behind its prefix. Whoever receives checks either.
 * The body names the id, so that both sign it.
 * @param secrets the one there is, then the one before it, while both are good.
 */
export function signatureHeaders(
  secrets: readonly string[],
  { id, seconds, body }: { id: string; seconds: number; body: string },
): Record<string, string> {
  const ours = secrets.map((secret) => `v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`);
  const standard = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(prefix.length), 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`;
  });
  return {
    'X-Worktide-Signature': [`t=${seconds}`, ...ours].join(','),
    'Webhook-Id': id,
    'Webhook-Timestamp': String(seconds),
    'Webhook-Signature': standard.join(' '),
  };
}
