import { AppError, invalid, validatePart } from '@worktide/runtime';
import { epochMs, screenshotForm, screenshotMetadata } from '@worktide/schemas';
import type { Config } from '../config.ts';
import type { FormFields } from './form.ts';

/** What an agent says of a screenshot beside the picture. Ids in lower case: they name objects, and UUIDs know no case. */
export interface Described {
  /** Undefined where the agent leaves the choice to us. */
  screenshotId: string | undefined;
  timeEntryId: string | null;
  /** Epoch milliseconds; undefined means now. */
  capturedAt: number | undefined;
  blurLevel: number | null;
  metadata: Record<string, unknown> | null;
}

/** How far clocks of agents may be off, and how late they may send, is alike for pings and pictures. */
export type TimeLimits = Pick<Config, 'PINGS_MAX_AGE_DAYS' | 'PINGS_MAX_FUTURE_SECONDS'>;

/** @throws AppError 400 with `VALIDATION_FAILED`, `MALFORMED_METADATA` or a code of `checkCapturedAt`. */
export function readFields(fields: FormFields, limits: TimeLimits): Described {
  const { screenshotId, timeEntryId, capturedAt, blurLevel, metadata } = validatePart(screenshotForm, fields, 'body');
  return {
    screenshotId: screenshotId?.toLowerCase(),
    timeEntryId: timeEntryId?.toLowerCase() ?? null,
    capturedAt: capturedAt === undefined ? undefined : checkCapturedAt(capturedAt, limits),
    blurLevel: blurLevel ?? null,
    metadata: metadata === undefined ? null : validatePart(screenshotMetadata, parsed(metadata), 'body.metadata'),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('MALFORMED_METADATA', 'metadata is not valid JSON.', { statusCode: 400, cause });
  }
}

/**
 * @returns epoch milliseconds.
 * @throws AppError `CAPTURED_TOO_LONG_AGO` or `CAPTURED_IN_FUTURE` (400).
 */
export function checkCapturedAt(text: string, limits: TimeLimits, now = Date.now()): number {
  const capturedAt = epochMs(text);
  const { PINGS_MAX_AGE_DAYS: days, PINGS_MAX_FUTURE_SECONDS: seconds } = limits;
  if (!(capturedAt >= now - days * 86_400_000)) {
    throw invalid('CAPTURED_TOO_LONG_AGO', `capturedAt is more than ${days} days ago.`);
  }
  if (capturedAt > now + seconds * 1_000) {
    throw invalid('CAPTURED_IN_FUTURE', `capturedAt is more than ${seconds / 60} minutes in the future.`);
  }
  return capturedAt;
}
