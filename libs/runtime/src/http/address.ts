import type { IncomingMessage } from 'node:http';

/** Who sent a request, as Express' `req.ip` with so many trusted proxies; for raw routes, which come before Express. */
export function addressOf(req: IncomingMessage, trustedProxies: number): string | undefined {
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
