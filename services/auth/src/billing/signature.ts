import { createHmac, timingSafeEqual } from 'node:crypto';
import { unauthorized } from '@worktide/runtime';

/** How far the provider's clock, or a delivery, may be off in either direction. */
const toleranceSeconds = 300;

/** `X-Worktide-Signature: t=<unix seconds>,v1=<hex>`; several `v1` while the provider changes its secret. */
export interface Signature {
  /** As it was written: it is part of what was signed. */
  time: string;
  candidates: Buffer[];
}

const hmacHex = /^[0-9a-f]{64}$/i;

/**
 * Reads the header, before the body is: what cannot be right costs no more than this.
 * @throws 401 `SIGNATURE_MISSING`, `SIGNATURE_INVALID` for what is no such header, `SIGNATURE_EXPIRED` for a time more
 *   than five minutes from now.
 */
export function readSignature(header: string | string[] | undefined, nowMs: number): Signature {
  if (header === undefined || header === '') {
    throw unauthorized('X-Worktide-Signature is required.', 'SIGNATURE_MISSING');
  }
  const fields = String(header)
    .split(',')
    .map((field) => field.trim().split('=', 2));
  const valuesOf = (name: string): string[] => fields.flatMap(([key, value]) => (key === name && value ? [value] : []));
  const times = valuesOf('t');
  const candidates = valuesOf('v1').filter((value) => hmacHex.test(value));
  const [time] = times;
  if (time === undefined || times.length > 1 || !/^\d{1,12}$/.test(time) || candidates.length === 0) throw wrong();
  if (Math.abs(nowMs / 1000 - Number(time)) > toleranceSeconds) {
    throw unauthorized('The signature is too old, or from the future.', 'SIGNATURE_EXPIRED');
  }
  return { time, candidates: candidates.slice(0, 5).map((value) => Buffer.from(value, 'hex')) };
}

/** @throws 401 `SIGNATURE_INVALID` where no candidate is the HMAC-SHA-256 of `<t>.<raw body>` under any secret. */
export function requireSigned({ time, candidates }: Signature, body: Buffer, secrets: readonly string[]): void {
  const isSigned = secrets.some((secret) => {
    const expected = createHmac('sha256', secret).update(`${time}.`).update(body).digest();
    return candidates.some((candidate) => timingSafeEqual(candidate, expected));
  });
  if (!isSigned) throw wrong();
}

const wrong = () => unauthorized('The signature is not right.', 'SIGNATURE_INVALID');
