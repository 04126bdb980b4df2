import type { IncomingMessage } from 'node:http';

/** For how long the rest of a refused body is thrown away: a client that still sends would not hear the answer. */
const lingerMs = 5_000;

/** Throws away what still comes of a body, for a while. */
export function linger(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return;
  req.resume();
  const timer = setTimeout(() => {
    if (!req.complete) req.destroy();
  }, lingerMs);
  timer.unref();
  req.once('close', () => clearTimeout(timer));
}
