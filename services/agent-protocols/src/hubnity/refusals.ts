import { type AppError, notFound } from '@worktide/runtime';
import { type ApiAnswer, passedOn } from './api.ts';

type Refused = Extract<ApiAnswer, { ok: false }>;
/** What was asked for: the same state of a timer is refused in other words by each. */
export type Asked = 'start' | 'pause' | 'resume' | 'stop' | 'look' | 'screenshot';

/**
 * The desktop knows these by their words, part of them at least, and by 400: it takes what it asked for as being so already, and
 * asks no more. Anything else it tries five times.
 */
const words: Partial<Record<Asked, Record<string, string>>> = {
  start: {
    TIMER_RUNNING: 'User already has an active time entry. Please stop or pause the existing entry first.',
  },
  pause: {
    TIMER_NOT_RUNNING: 'Only running entries can be paused',
    TIMER_STOPPED: 'Only running entries can be paused',
  },
  resume: {
    TIMER_NOT_PAUSED: 'Only paused entries can be resumed',
    TIMER_STOPPED: 'Only paused entries can be resumed',
  },
  stop: { TIMER_STOPPED: 'Time entry is already stopped' },
};

/** A refusal of ours as Hubnity refuses: what the state of things forbids is 400 there. */
export function refused({ status, code, message, details }: Refused, asked: Asked): AppError {
  if (status === 404) return entryNotFound();
  const statusCode = status === 409 || status === 422 ? 400 : status;
  const known = words[asked]?.[code];
  return passedOn(code, known ?? message, { statusCode, ...(details ? { details } : {}) });
}

/** The desktop looks for "not found". */
export const entryNotFound = (): AppError => notFound('Time entry not found');
