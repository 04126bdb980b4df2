import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Where a service of ours says for whom it asks another one. */
export const senderHeader = 'x-worktide-sender';
/** How far clocks of services may be apart. */
const toleranceSeconds = 300;
const told = Symbol('the sender that a service of ours told of');

type Told = IncomingMessage & { [told]?: string };

const signature = (address: string, seconds: number, secret: string): Buffer =>
  createHmac('sha256', secret).update(`sender ${seconds} ${address}`).digest();

/**
 * The value of `senderHeader`: who sent the request for which a service asks another, signed with the secret that they share. A
 * header that proxies write would be believed where proxies are trusted alone, and by as many as there are.
 */
export function signSender(address: string, secret: string, nowMs = Date.now()): string {
  const seconds = Math.floor(nowMs / 1_000);
  return `${address};t=${seconds};v1=${signature(address, seconds, secret).toString('hex')}`;
}

/**
 * Notes whom a request tells of as its sender (`signSender`), for `addressOf`; without a good signature it tells of nobody.
 * @param secrets of the services that are asked.
 */
export function noteSender(req: IncomingMessage, secrets: readonly string[], nowMs = Date.now()): void {
  const header = req.headers[senderHeader];
  if (typeof header !== 'string' || header.length > 200) return;
  const [, address, t, given] = /^([\da-f.:]{2,45});t=(\d{1,12});v1=([\da-f]{64})$/i.exec(header) ?? [];
  if (address === undefined || isIP(address) === 0) return;
  const seconds = Number(t);
  if (Math.abs(nowMs / 1_000 - seconds) > toleranceSeconds) return;
  const bytes = Buffer.from(given!, 'hex');
  if (secrets.some((secret) => timingSafeEqual(signature(address, seconds, secret), bytes)))
    (req as Told)[told] = address;
}

/** Whom a service of ours told of as the sender of this request, if any did. */
export const toldSender = (req: IncomingMessage): string | undefined => (req as Told)[told];

/** Who sent a request, as Express' `req.ip` with so many trusted proxies; for raw routes, which come before Express. */
export function addressOf(req: IncomingMessage, trustedProxies: number): string | undefined {
  const sender = toldSender(req);
  if (sender !== undefined) return sender;
  const { remoteAddress } = req.socket;
  const header = trustedProxies > 0 ? req.headers['x-forwarded-for'] : undefined;
  if (header === undefined) return remoteAddress;
  const passed = String(header)
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  // Each proxy adds whom it heard from at the end: as many of these are believed as there are proxies of ours.
  return passed.at(-Math.min(trustedProxies, passed.length)) ?? remoteAddress;
}
