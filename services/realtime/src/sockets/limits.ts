/** What a socket may do, of anybody. Those of whole processes are configuration. */
export const socketLimits = {
  /** Bytes of one message; a token has some 450. A longer one closes the connection with code 1009. */
  frameBytes: 16_384,
  /** Messages and pings a second, and at once. */
  eventsPerSecond: 20,
  eventsAtOnce: 60,
  /** Tasks that it hears of. */
  subscriptions: 100,
  /** Bytes on their way to somebody who does not read; beyond them it is cut. */
  waitingBytes: 262_144,
  /** How long a connection may be there without saying who it is. */
  silentMs: 10_000,
} as const;

/** Whether one more fits: so many a second, and so many at once. */
export function createBucket(
  { perSecond, atOnce }: { perSecond: number; atOnce: number },
  now: () => number = () => performance.now(),
): { take(): boolean } {
  let left = atOnce;
  let at = now();
  return {
    take() {
      const later = now();
      left = Math.min(atOnce, left + ((later - at) / 1_000) * perSecond) - 1;
      at = later;
      if (left >= 0) return true;
      left = 0;
      return false;
    },
  };
}
