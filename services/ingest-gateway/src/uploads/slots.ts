import { AppError, type Caller, type Metrics, userSubject } from '@worktide/runtime';

export interface Slots {
  /**
   * A place for one more upload.
   * @returns what gives it back; calling it again does nothing.
   * @throws AppError `BUSY` (503) where all are taken, or too many of them by this user.
   */
  take(caller: Caller): () => void;
}

/** Bounds the uploads at once: each may hold some megabytes for two minutes. Nobody alone gets more than a quarter. */
export function createSlots(max: number, metrics: Metrics): Slots {
  const inFlight = metrics.gauge('worktide_uploads_in_flight', 'Screenshots that are being uploaded.');
  inFlight.set(0);
  const maxOfUser = Math.max(1, Math.floor(max / 4));
  const ofUser = new Map<string, number>();
  let taken = 0;
  return {
    take(caller) {
      const user = userSubject(caller);
      const own = ofUser.get(user) ?? 0;
      if (taken >= max || own >= maxOfUser) {
        throw new AppError('BUSY', 'Too many uploads at once; try again.', { statusCode: 503, retryAfterSeconds: 5 });
      }
      taken++;
      ofUser.set(user, own + 1);
      inFlight.inc();
      let given = true;
      return () => {
        if (!given) return;
        given = false;
        taken--;
        inFlight.dec();
        const left = ofUser.get(user)! - 1;
        if (left === 0) ofUser.delete(user);
        else ofUser.set(user, left);
      };
    },
  };
}
