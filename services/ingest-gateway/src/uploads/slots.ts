import type { ObjectStoreOptions } from '@worktide/object-store';
import {
  AppError,
  createBudget,
  createInFlight,
  type GiveUp,
  type Holding,
  type Metrics,
  userSubject,
} from '@worktide/runtime';

/** Who an upload is counted for. */
export interface Uploader {
  organizationId: string;
  userId: string;
}

export interface Slot {
  /**
   * What the upload may hold from its first byte on, until it is done: of an announced size, or of any. Again it does
   * nothing.
   * @param giveUp as `Budget.take` has it.
   * @throws AppError `BUSY` (503) where it is beyond the organisation's share.
   */
  hold(size: number | undefined, giveUp: GiveUp): void;
  /** Gives everything back; again is harmless. */
  leave(): void;
}

export interface Slots {
  /**
   * One more upload, which holds nothing before its body begins to come.
   * @throws AppError `BUSY` (503) where the user has too many.
   */
  enter(who: Uploader): Slot;
  /**
   * What goes in and out by signed URLs that are served here, in the name of whose object it is.
   * @returns what ends it. @throws AppError `BUSY` (503).
   */
  admit: NonNullable<ObjectStoreOptions['admit']>;
}

/** The most that one upload keeps in memory, however large it is: three parts of 8 MB on their way to S3. */
const maxHeldBytes = 24 * 1024 * 1024;
/** The least: buffers of the connection, the form, the file. */
const minHeldBytes = 1024 * 1024;
/** Of one that goes out: what is read ahead of whoever takes it, and its file. */
const downloadBytes = 256 * 1024;

/**
 * Bounds the uploads at once by the memory that they may take, of which each organisation has a share, and a user's to
 * a quarter of `max` in number.
 * @param max uploads at once where all are large.
 */
export function createSlots(max: number, metrics: Metrics): Slots {
  const gauge = metrics.gauge('worktide_uploads_in_flight', 'Screenshots that are being uploaded.');
  gauge.set(0);
  const message = 'Too many uploads at once; try again.';
  const ofUsers = createInFlight(
    Math.max(1, Math.floor(max / 4)),
    () => new AppError('BUSY', message, { statusCode: 503, retryAfterSeconds: 5 }),
  );
  const budget = createBudget({ name: 'uploads', total: max * maxHeldBytes, metrics, message });

  function enter(who: Uploader): Slot {
    const leaveUser = ofUsers.enter(userSubject(who));
    gauge.inc();
    let holding: Holding | undefined;
    let left = false;
    return {
      hold(size = maxHeldBytes, giveUp) {
        if (left) return;
        holding ??= budget.take(who.organizationId, Math.min(maxHeldBytes, Math.max(minHeldBytes, size)), giveUp);
      },
      leave() {
        if (left) return;
        left = true;
        holding?.release();
        leaveUser();
        gauge.dec();
      },
    };
  }

  return {
    enter,
    admit({ method, key, size, giveUp }) {
      // uploads/<organization>/<user>/<id>, screenshots/<organization>/<day>/<id>
      const [, organizationId = '', userId = ''] = key.split('/');
      if (method === 'GET') return budget.take(organizationId, downloadBytes, giveUp).release;
      const slot = enter({ organizationId, userId });
      try {
        slot.hold(size, giveUp);
      } catch (error) {
        slot.leave();
        throw error;
      }
      return slot.leave;
    },
  };
}
