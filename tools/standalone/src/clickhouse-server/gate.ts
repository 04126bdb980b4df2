import { ClickHouseError, errorCodes } from './errors.ts';

export interface Gate {
  /** Resolves with the function that gives the place back. @throws ClickHouseError 202 when too many wait already. */
  enter(): Promise<() => void>;
  readonly running: number;
}

/** At most `width` inside at once, at most `queue` waiting, first come first served. */
export function createGate(width: number, queue: number): Gate {
  let running = 0;
  const waiting: (() => void)[] = [];
  const leaver = (): (() => void) => {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = waiting.shift();
      // The place passes on directly, so that a newcomer cannot slip in between.
      if (next) next();
      else running--;
    };
  };
  return {
    get running() {
      return running;
    },
    async enter() {
      if (running < width) {
        running++;
        return leaver();
      }
      if (waiting.length >= queue) {
        const message = `Too many simultaneous queries. Maximum: ${width}, waiting: ${queue}`;
        throw new ClickHouseError(errorCodes.TOO_MANY_SIMULTANEOUS_QUERIES, message);
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
      return leaver();
    },
  };
}
