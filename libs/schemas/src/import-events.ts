import { z } from 'zod';
import { eventDeviceId, id, instantMs } from './common.ts';
import { pingEvent } from './ping-events.ts';
import { conflictReason, syncEntryEvent } from './time-entries.ts';

/** Entries of one part: each that is a conflict is told of. */
export const maxImportedEntries = 200;

/** Pings of history, however old, on devices that are the import's own: what an agent sends has none of these. */
export const importedPings = z.object({ type: z.literal('pings'), pings: z.array(pingEvent).min(1) });

/** Entries of history, each under a key of the import's own. A part is applied once. */
export const importedEntries = z.object({
  type: z.literal('entries'),
  part: z.int().min(0),
  entries: z.array(syncEntryEvent).min(1).max(maxImportedEntries),
});

/** All that the import has brought this person goes, and whatever of it comes later is let go of. */
export const importRemoved = z.object({
  type: z.literal('removed'),
  /** Who took it out. */
  actorId: id,
  requestId: z.string().max(128).nullable(),
  /** Its devices. */
  devices: z.array(eventDeviceId),
  /** [from, to) of its pings. */
  from: instantMs,
  to: instantMs,
});

/**
 * One record of topic `imports`: a piece of one import for one person, at most 256 KB. A path of its own, so that years of history
 * keep nobody's pings of today waiting.
 */
export const importRecord = z.object({
  organizationId: id,
  /** Whose history it is. */
  userId: id,
  importId: id,
  /** Who imports. */
  actorId: id,
  receivedAt: instantMs,
  what: z.discriminatedUnion('type', [importedPings, importedEntries, importRemoved]),
});
export type ImportRecord = z.output<typeof importRecord>;

/** One record of topic `import-outcomes`: what has become of the entries of one part. Of two of one part the first counts. */
export const importOutcome = z.object({
  organizationId: id,
  userId: id,
  importId: id,
  part: z.int().min(0),
  created: z.int().min(0),
  /** There already, or of a time that the organisation does not keep. */
  skipped: z.int().min(0),
  conflicts: z.array(
    z.object({
      index: z.int().min(0),
      idempotencyKey: z.string(),
      reason: conflictReason,
      conflictsWith: id.optional(),
    }),
  ),
});
export type ImportOutcome = z.output<typeof importOutcome>;
