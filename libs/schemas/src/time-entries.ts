import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import {
  boundInstant,
  epochMs,
  givenId,
  id,
  instant,
  instantMs,
  namesSomething,
  page,
  pageQuery,
  timezone,
} from './common.ts';

const instantOut = z.iso.datetime();
export const timeEntryKind = z.enum(['timer', 'manual', 'offline', 'imported']);
export const timeEntryStatus = z.enum(['RUNNING', 'PAUSED', 'STOPPED']);
export type TimeEntryStatus = z.output<typeof timeEntryStatus>;

/** Limits of a time entry: texts in characters (code points). */
export const timeEntryBounds = {
  description: 2_000,
  tags: 20,
  tag: 64,
  reason: 500,
  /** More is a script, not a person; each pause is written out in every event of the entry. */
  pauses: 500,
  /** The longest a finished entry may be. */
  durationMs: 31 * 24 * 3_600_000,
  /** How far an instant may lie ahead of the server's clock, for the clocks of others. */
  futureMs: 5 * 60_000,
  idempotencyKey: 128,
} as const;

const within = (text: string, max: number): boolean => text.length <= max || [...text].length <= max;

/** Lines are kept. */
const longText = (max: number) =>
  z
    .string()
    .max(2 * max)
    .refine((text) => isStorable(text), { message: 'holds what no store takes' })
    .refine((text) => within(text, max), { message: `must have at most ${max} characters` });

const tag = z
  .string()
  .max(2 * timeEntryBounds.tag)
  .transform((text) => text.normalize('NFC').trim())
  .refine((text) => isStorable(text) && !/\p{Cc}/u.test(text), { message: 'holds control characters' })
  .refine((text) => text !== '' && within(text, timeEntryBounds.tag), {
    message: `must have 1–${timeEntryBounds.tag} characters`,
  });

/** In the order given, each once. */
export const timeEntryTags = z
  .array(tag)
  .max(timeEntryBounds.tags)
  .transform((tags) => [...new Set(tags)]);

const description = longText(timeEntryBounds.description).nullable();
const reason = longText(timeEntryBounds.reason);

/** What a person may say about an entry; all of it optional, null as absent. */
const about = {
  projectId: givenId.nullable().optional(),
  taskId: givenId.nullable().optional(),
  description: description.optional(),
  tags: timeEntryTags.optional(),
  billable: z.boolean().optional(),
};

/** A time entry as the public interface shows it. */
export const timeEntry = z
  .object({
    id,
    userId: id,
    kind: timeEntryKind,
    status: timeEntryStatus,
    projectId: id.nullable(),
    taskId: id.nullable(),
    description: z.string().nullable(),
    tags: z.array(z.string()),
    billable: z.boolean(),
    startTime: instantOut,
    endTime: instantOut.nullable().meta({ description: 'Exclusive; null while it is open.' }),
    pauses: z
      .array(z.object({ from: instantOut, to: instantOut.nullable() }))
      .meta({ description: 'In order, apart from each other; the last has no end while it lasts.' }),
    timezone: z.string(),
    workedSeconds: z.int().meta({ description: 'Its length without pauses; of an open one until now.' }),
    activeSeconds: z.int(),
    idleSeconds: z.int(),
    untrackedSeconds: z.int().meta({ description: 'Worked time that neither active nor idle usage covers.' }),
    lastActivityAt: instantOut.nullable(),
    version: z.int().positive(),
    createdAt: instantOut,
    updatedAt: instantOut,
  })
  .meta({ id: 'TimeEntry' });
export type TimeEntry = z.output<typeof timeEntry>;
export const timeEntryPage = page(timeEntry).meta({ id: 'TimeEntryPage' });
export const activeTimeEntry = z.object({ entry: timeEntry.nullable() }).meta({ id: 'ActiveTimeEntry' });

export const newTimer = z.object({
  ...about,
  timezone: timezone.optional().meta({ description: "The person's unless said." }),
  startTime: boundInstant.optional().meta({ description: 'Now unless said.' }),
});
export const newManualEntry = newTimer.extend({
  startTime: boundInstant,
  endTime: boundInstant,
  userId: givenId.optional().meta({ description: 'Managers and admins: for whom.' }),
});
/** Only what is named changes. */
export const timeEntryChange = z
  .object({
    ...about,
    startTime: boundInstant.optional(),
    endTime: boundInstant.optional(),
    timezone: timezone.optional(),
    reason: reason.optional(),
    version: z.int().positive(),
  })
  .refine(...namesSomething('version', 'reason'));
/** Of a deletion: in the query, bodies of DELETE being lost on their way. */
export const timeEntryDeletion = z.object({ reason: reason.optional() });
export const timerStep = z.object({ at: boundInstant.optional().meta({ description: 'Now unless said.' }) }).optional();

export const timeEntryQuery = z.object({
  ...pageQuery,
  from: boundInstant.meta({ description: 'Inclusive.' }),
  to: boundInstant.meta({ description: 'Exclusive.' }),
  userId: givenId.optional(),
  projectId: givenId.optional(),
  status: timeEntryStatus.optional(),
});
export const activeTimeEntryQuery = z.object({ userId: givenId.optional() });

export const idempotencyKey = z
  .string()
  .min(1)
  .max(timeEntryBounds.idempotencyKey)
  .refine(isStorable, { message: 'holds what no store takes' });

/** What an entry was at one time, as the ledger has it: what is derived (active, idle) it had at no time. */
export const timeEntrySnapshot = timeEntry
  .pick({
    id: true,
    kind: true,
    status: true,
    projectId: true,
    taskId: true,
    description: true,
    tags: true,
    billable: true,
    startTime: true,
    endTime: true,
    pauses: true,
    timezone: true,
    version: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({ deleted: z.boolean() })
  .meta({ id: 'TimeEntrySnapshot' });
export type TimeEntrySnapshot = z.output<typeof timeEntrySnapshot>;

/** One change of an entry, as the ledger has it. */
export const timeEntryChangeRecord = z
  .object({
    at: instantOut,
    actorId: id.nullable().meta({ description: 'null: the system.' }),
    action: z.enum(['started', 'paused', 'resumed', 'stopped', 'created', 'edited', 'deleted', 'merged', 'synced']),
    before: timeEntrySnapshot.nullable(),
    after: timeEntrySnapshot.nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: 'TimeEntryChange' });
export const timeEntryHistory = page(timeEntryChangeRecord).meta({ id: 'TimeEntryHistory' });

/* The log */

/**
 * The state of one time entry after a commit (topic `time-entries`). Whole state, never a difference: a consumer keeps the
 * one with the higher `version`.
 */
export const timeEntryState = z.object({
  id,
  kind: timeEntryKind,
  status: timeEntryStatus,
  projectId: id.nullable(),
  taskId: id.nullable(),
  description: z.string().nullable(),
  tags: z.array(z.string()),
  billable: z.boolean(),
  timezone: z.string(),
  startedAt: instantMs,
  /** Exclusive; null while it is open. */
  endedAt: instantMs.nullable(),
  /** Disjoint, in order, within the entry; the last one's end is null while it is paused. */
  pauses: z.array(z.object({ from: instantMs, to: instantMs.nullable() })),
  createdAt: instantMs,
  updatedAt: instantMs,
  version: z.int().positive(),
  /** A tombstone; all other fields are those it last had. */
  deleted: z.boolean(),
});
export type TimeEntryState = z.output<typeof timeEntryState>;

/** One record of topic `time-entries`: what one transaction changed for one user. */
export const timeEntriesRecord = z.object({
  organizationId: id,
  userId: id,
  /** Who did it; null for the system. */
  actorId: id.nullable(),
  entries: z.array(timeEntryState).min(1),
});
export type TimeEntriesRecord = z.output<typeof timeEntriesRecord>;

/* Offline sync */

/** Entries of one `POST /sync/batch`. */
export const maxSyncEntries = 5_000;

/** An offline entry as agents send it: for the document. `checkSyncEntry` judges it. */
export const syncEntry = z
  .object({
    idempotencyKey: z.string().meta({ description: '1–128 characters: one entry of this user for ever.' }),
    projectId: id.nullable().optional(),
    taskId: id.nullable().optional(),
    startTime: instant,
    endTime: instant.nullable().optional(),
    duration: z
      .number()
      .nullable()
      .optional()
      .meta({
        description:
          'Seconds; where there is an endTime as well, the times hold. Of a `PAUSED` entry what was worked before the pause, ' +
          'which begins now unless said.',
      }),
    status: timeEntryStatus,
    timezone: z.string().optional(),
    description: z.string().nullable().optional(),
    tags: z.array(z.string()).optional(),
    billable: z.boolean().optional(),
  })
  .meta({ id: 'SyncEntry' });

export const syncBatchBody = z.object({ entries: z.array(syncEntry).max(maxSyncEntries) }).meta({ id: 'SyncBatch' });

export const conflictReason = z.enum([
  'overlap',
  'invalid',
  'missing_idempotency_key',
  'project_unknown',
  'project_archived',
  'task_unknown',
]);
export type ConflictReason = z.output<typeof conflictReason>;

/** An offline entry that the gateway found sound, on its way to the writer. */
export const syncEntryEvent = z.object({
  index: z.int().min(0),
  idempotencyKey: z.string().min(1).max(timeEntryBounds.idempotencyKey),
  projectId: id.nullable(),
  taskId: id.nullable(),
  startedAt: instantMs,
  /** Null while it is open there: `RUNNING` or `PAUSED`. */
  endedAt: instantMs.nullable(),
  /** Since when it is, where it is `PAUSED`. */
  pausedAt: instantMs.nullable(),
  status: timeEntryStatus,
  timezone: z.string().max(64),
  description: z
    .string()
    .max(2 * timeEntryBounds.description)
    .nullable(),
  tags: z.array(z.string().max(2 * timeEntryBounds.tag)).max(timeEntryBounds.tags),
  billable: z.boolean(),
});
export type SyncEntryEvent = z.output<typeof syncEntryEvent>;

/** An entry that the gateway refused: it is part of the batch's outcome. */
export const refusedSyncEntry = z.object({
  index: z.int().min(0),
  /** As far as it is one. */
  idempotencyKey: z.string().max(timeEntryBounds.idempotencyKey).nullable(),
  reason: conflictReason,
  code: z.string().max(64),
  message: z.string().max(500),
});
export type RefusedSyncEntry = z.output<typeof refusedSyncEntry>;

/** What surrounds the entries of a record; checked apart from them, so that one bad entry does not take the others along. */
export const timeEntrySyncEnvelope = z.object({
  organizationId: id,
  userId: id,
  batchId: id,
  /** From 0, in the order of the request; the batch is whole when `parts` of them are applied. */
  part: z.int().min(0),
  parts: z.int().min(1),
  receivedAt: instantMs,
  /** Of the request, for the ledger. */
  requestId: z.string().max(128).nullable(),
  refused: z.array(refusedSyncEntry),
  entries: z.array(z.unknown()),
});

/** One record of topic `time-entry-syncs`: a part of one batch, at most 256 KB. */
export const timeEntrySyncRecord = timeEntrySyncEnvelope.extend({ entries: z.array(syncEntryEvent) });
export type TimeEntrySyncRecord = z.output<typeof timeEntrySyncRecord>;

export const syncConflict = z
  .object({
    index: z.int(),
    idempotencyKey: z.string().nullable(),
    reason: conflictReason,
    conflictsWith: id.optional().meta({ description: 'The entry it meets, where the reason is `overlap`.' }),
    code: z.string().optional().meta({ description: 'What exactly is wrong, where the reason is `invalid`.' }),
    message: z.string().optional(),
  })
  .meta({ id: 'SyncConflict' });
export type SyncConflict = z.output<typeof syncConflict>;
export const syncResult = z
  .object({
    index: z.int(),
    idempotencyKey: z.string().nullable(),
    outcome: z.enum(['created', 'updated', 'skipped', 'conflict']),
    id: id.optional(),
  })
  .meta({ id: 'SyncResult' });
export type SyncResult = z.output<typeof syncResult>;
export const syncOutcome = z
  .object({
    batchId: id,
    processed: z.int().meta({ description: 'Created or moved on.' }),
    skipped: z.int().meta({
      description:
        'There already, and nothing new; or of a time that the organisation does not keep, then without `id`.',
    }),
    conflicts: z.array(syncConflict),
    results: z.array(syncResult),
  })
  .meta({ id: 'SyncOutcome' });
export type SyncOutcome = z.output<typeof syncOutcome>;
/** 202: taken, the outcome is still to come (`GET /sync/batches/:id`). */
export const takenSyncBatch = z
  .object({ batchId: id, accepted: z.int(), rejected: z.array(syncConflict) })
  .meta({ id: 'TakenSyncBatch' });
export type TakenSyncBatch = z.output<typeof takenSyncBatch>;
export const syncBatchQuery = z.object({
  wait: z.coerce.number().int().min(0).max(30).default(0).meta({ description: 'Seconds to wait for the outcome.' }),
});

export interface SyncContext {
  nowMs: number;
  /** The person's, where an entry names none. */
  timezone: string;
}

/* A row of codes for what can be wrong with one entry; all but the first two have the reason `invalid`. */
const refused = (code: string, message: string, reason: ConflictReason = 'invalid') => ({ reason, code, message });
export type SyncProblem = ReturnType<typeof refused>;
export const isSyncProblem = (checked: object): checked is SyncProblem => 'reason' in checked;

const formOf = z.object({
  projectId: givenId.nullable().optional(),
  taskId: givenId.nullable().optional(),
  startTime: boundInstant,
  endTime: boundInstant.nullable().optional(),
  duration: z.number().nullable().optional(),
  status: timeEntryStatus,
  timezone: timezone.nullable().optional(),
  description: description.optional(),
  tags: timeEntryTags.nullable().optional(),
  billable: z.boolean().nullable().optional(),
});

const formCodes: Record<string, string> = {
  projectId: 'INVALID_PROJECT_ID',
  taskId: 'INVALID_TASK_ID',
  startTime: 'INVALID_TIME',
  endTime: 'INVALID_TIME',
  duration: 'INVALID_DURATION',
  status: 'INVALID_STATUS',
  timezone: 'INVALID_TIMEZONE',
  description: 'INVALID_DESCRIPTION',
  tags: 'INVALID_TAGS',
  billable: 'INVALID_FIELD',
};

/** The key of an entry of a batch, where it has one. */
export function syncKeyOf(value: unknown): string | undefined {
  const key = (value as { idempotencyKey?: unknown } | null)?.idempotencyKey;
  return idempotencyKey.safeParse(key).data;
}

/**
 * Judges one offline entry and turns it into its event. Never throws.
 * @returns the event, or what is wrong with it: `reason` as in the batch's outcome, `code` more exactly.
 */
export function checkSyncEntry(value: unknown, index: number, context: SyncContext): SyncEntryEvent | SyncProblem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refused('NOT_AN_ENTRY', 'An entry is a JSON object.');
  }
  const key = syncKeyOf(value);
  if (key === undefined) {
    const given = (value as { idempotencyKey?: unknown }).idempotencyKey;
    return given === undefined || given === null || given === ''
      ? refused('MISSING_IDEMPOTENCY_KEY', 'idempotencyKey is missing.', 'missing_idempotency_key')
      : refused(
          'INVALID_IDEMPOTENCY_KEY',
          `idempotencyKey must be text of 1–${timeEntryBounds.idempotencyKey} characters.`,
        );
  }
  const parsed = formOf.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const field = String(issue.path[0] ?? '');
    if ((value as Record<string, unknown>)[field] === undefined)
      return refused('MISSING_FIELD', `${field} is missing.`);
    return refused(formCodes[field] ?? 'INVALID_FIELD', `${field}: ${issue.message}.`.slice(0, 500));
  }
  const entry = parsed.data;
  let startedAt = epochMs(entry.startTime);
  let endedAt = entry.endTime ? epochMs(entry.endTime) : null;
  if (startedAt < 0) return refused('INVALID_TIME', 'startTime is before 1970.');
  if (startedAt > context.nowMs + timeEntryBounds.futureMs) return refused('IN_FUTURE', 'startTime is in the future.');
  if (entry.status === 'STOPPED') {
    if (endedAt === null && typeof entry.duration === 'number') endedAt = startedAt + Math.round(entry.duration * 1000);
    if (endedAt === null) return refused('MISSING_FIELD', 'A stopped entry has an endTime, or a duration.');
    if (!(endedAt > startedAt)) return refused('END_BEFORE_START', 'endTime is not after startTime.');
    if (endedAt - startedAt > timeEntryBounds.durationMs)
      return refused('TOO_LONG', 'The entry is longer than 31 days.');
    if (endedAt > context.nowMs + timeEntryBounds.futureMs) return refused('IN_FUTURE', 'endTime is in the future.');
    // By a clock that is ahead of ours: no entry reaches into time that nobody has had, and would be in the way of.
    endedAt = Math.min(endedAt, context.nowMs);
    if (startedAt >= endedAt) return refused('IN_FUTURE', 'All of the entry is in the future.');
  } else {
    startedAt = Math.min(startedAt, context.nowMs);
    if (endedAt !== null) return refused('INVALID_STATUS', 'An entry with an endTime is STOPPED.');
    if (context.nowMs - startedAt > timeEntryBounds.durationMs) {
      return refused('TOO_LONG', 'startTime of an open entry is more than 31 days ago.');
    }
    if (typeof entry.duration === 'number' && entry.duration < 0) {
      return refused('INVALID_DURATION', 'duration is negative.');
    }
  }
  return {
    index,
    idempotencyKey: key,
    projectId: entry.projectId ?? null,
    taskId: entry.taskId ?? null,
    startedAt,
    endedAt,
    pausedAt: entry.status === 'PAUSED' ? pausedAt(startedAt, entry.duration, context.nowMs) : null,
    status: entry.status,
    timezone: entry.timezone ?? context.timezone,
    description: entry.description ?? null,
    tags: entry.tags ?? [],
    billable: entry.billable ?? false,
  };
}

/** Not before it began, and not ahead of us, whatever clock it was measured by. */
function pausedAt(startedAt: number, duration: number | null | undefined, nowMs: number): number {
  const worked = typeof duration === 'number' ? Math.round(duration * 1000) : Number.POSITIVE_INFINITY;
  return Math.max(startedAt, Math.min(startedAt + worked, nowMs));
}
