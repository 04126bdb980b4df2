import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { boundInstant, epochMs, eventDeviceId, givenId, id, instant, instantMs } from './common.ts';
import { rejection } from './pings.ts';

const minuteMs = 60_000;

/** More clicks or movements than any input device reports in a minute. */
export const maxInputCount = 1_000_000;
/** Minutes of one `POST /activity`: almost a day. */
export const maxInputMinutes = 1_000;

/** Counts of one minute as agents send them: for the document. `checkInputMinute` judges them. */
export const inputMinute = z
  .object({
    minute: instant.meta({ description: 'The beginning of the minute: no seconds.' }),
    keyboardClicks: z.int().meta({ description: '0–1,000,000.' }),
    mouseMovements: z.int().meta({ description: '0–1,000,000.' }),
    timeEntryId: id.nullable().optional(),
    deviceId: eventDeviceId.nullable().optional().meta({ description: "The credential's device unless said." }),
  })
  .meta({ id: 'InputMinute' });
export const activityBody = z.union([inputMinute, z.array(inputMinute).min(1).max(maxInputMinutes)]);
export const activityAnswer = z
  .object({ accepted: z.int(), rejected: z.array(rejection) })
  .meta({ id: 'ActivityAnswer' });

/** Counts of one minute on their way. Of several for one device and minute the greater of each count holds. */
export const inputMinuteEvent = z.object({
  deviceId: eventDeviceId,
  /** A multiple of 60,000. */
  minute: instantMs,
  keyboardClicks: z.int().min(0).max(maxInputCount),
  mouseMovements: z.int().min(0).max(maxInputCount),
  timeEntryId: id.optional(),
});
export type InputMinuteEvent = z.output<typeof inputMinuteEvent>;

export const inputMinutesEnvelope = z.object({
  organizationId: id,
  userId: id,
  receivedAt: instantMs,
  minutes: z.array(z.unknown()).min(1),
});
/** One record of topic `input-minutes`: what one request of one user said. */
export const inputMinutesRecord = inputMinutesEnvelope.extend({ minutes: z.array(inputMinuteEvent).min(1) });
export type InputMinutesRecord = z.output<typeof inputMinutesRecord>;

export interface InputMinuteContext {
  nowMs: number;
  /** Used where the minute names no device. */
  deviceId: string;
  maxAgeMs: number;
  maxFutureMs: number;
}

const problem = (code: string, message: string) => ({ code, message });
export type InputMinuteProblem = ReturnType<typeof problem>;
export const isInputMinuteProblem = (checked: object): checked is InputMinuteProblem => 'code' in checked;

const count = z.int().min(0).max(maxInputCount);
const form = z.object({
  minute: boundInstant,
  keyboardClicks: count,
  mouseMovements: count,
  timeEntryId: z
    .union([givenId, z.literal('').transform(() => undefined)])
    .nullable()
    .optional(),
  deviceId: z
    .union([eventDeviceId, z.literal('').transform(() => undefined)])
    .nullable()
    .optional(),
});
const codes: Record<string, string> = {
  minute: 'INVALID_TIME',
  keyboardClicks: 'INVALID_COUNT',
  mouseMovements: 'INVALID_COUNT',
  timeEntryId: 'INVALID_TIME_ENTRY_ID',
  deviceId: 'INVALID_DEVICE_ID',
};

/** Judges the counts of one minute. Never throws. */
export function checkInputMinute(value: unknown, context: InputMinuteContext): InputMinuteEvent | InputMinuteProblem {
  const parsed = form.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const field = String(issue.path[0] ?? '');
    if (field === '') return problem('NOT_A_MINUTE', 'The counts of a minute are a JSON object.');
    if ((value as Record<string, unknown>)[field] === undefined)
      return problem('MISSING_FIELD', `${field} is missing.`);
    return problem(codes[field] ?? 'INVALID_FIELD', `${field}: ${issue.message}.`);
  }
  const { keyboardClicks, mouseMovements, timeEntryId } = parsed.data;
  const minute = epochMs(parsed.data.minute);
  if (minute % minuteMs !== 0) return problem('NOT_A_FULL_MINUTE', 'minute has seconds.');
  if (minute < Math.max(0, context.nowMs - context.maxAgeMs)) {
    return problem('TOO_OLD', `minute is more than ${context.maxAgeMs / 86_400_000} days ago.`);
  }
  if (minute > context.nowMs + context.maxFutureMs) return problem('IN_FUTURE', 'minute is in the future.');
  const deviceId = parsed.data.deviceId ?? context.deviceId;
  if (!isStorable(deviceId)) return problem('INVALID_TEXT', 'deviceId holds U+0000 or half of a surrogate pair.');
  return { deviceId, minute, keyboardClicks, mouseMovements, ...(timeEntryId ? { timeEntryId } : {}) };
}
