import { isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { boundInstant, id, instant, instantMs, page, pageQuery } from './common.ts';
import { pictureTypes } from './pictures.ts';

const instantOut = z.iso.datetime();

const pictureType = z.enum(pictureTypes);

/** What an agent may have a picture blurred to; see services/screenshot-processor/src/picture for what each level means. */
export const blurLevel = z.int().min(0).max(3);

/** Deep enough for what agents have to say; what is deeper would only exhaust a stack on its way. */
const maxMetadataDepth = 16;

/** Whether every text in it is one that stores take, and nothing is nested too deep. */
const isKeepable = (value: unknown, depth = 0): boolean => {
  if (typeof value === 'string') return isStorable(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth > maxMetadataDepth) return false;
  return Object.entries(value).every(([key, member]) => isStorable(key) && isKeepable(member, depth + 1));
};

/** OS, resolution, displays …: whatever the agent wants to be kept, at most 8,192 characters of JSON. */
export const screenshotMetadata = z
  .record(z.string().max(100), z.unknown())
  .refine((value) => isKeepable(value), {
    message: `holds text that no store takes, or is nested deeper than ${maxMetadataDepth}`,
    abort: true,
  })
  .refine((value) => JSON.stringify(value).length <= 8_192, { message: 'more than 8 kB' });

/** Bytes of one upload. */
export const maxScreenshotBytes = 50_000_000;

/** Parts of the multipart form beside `file`; all are text. */
export const screenshotForm = z.object({
  screenshotId: id.optional(),
  timeEntryId: id.optional(),
  capturedAt: instant.optional(),
  // Not coerced: that would make 0, the sharpest, of an empty text.
  blurLevel: z
    .string()
    .regex(/^[0-3]$/, 'not 0, 1, 2 or 3')
    .transform(Number)
    .optional(),
  metadata: z.string().max(16_384).optional().meta({ description: 'JSON text of an object, at most 8 kB.' }),
});
export const takenScreenshot = z.object({ screenshotId: id }).meta({ id: 'TakenScreenshot' });

export const presignBody = z.object({
  timeEntryId: id.optional(),
  contentType: pictureType,
  /** Bytes; the limit is the gateway's (413). */
  size: z.int().min(1),
});
export const presignedUpload = z
  .object({ screenshotId: id, uploadUrl: z.string(), headers: z.record(z.string(), z.string()), expiresAt: instantOut })
  .meta({ id: 'PresignedUpload' });
export const confirmBody = z.object({
  screenshotId: id,
  capturedAt: instant.optional(),
  blurLevel: blurLevel.optional(),
  metadata: screenshotMetadata.optional(),
});

/** One record of topic `screenshots`: an upload that is durable under `objectKey`, and what is to be done with it. */
export const screenshotRecord = z.object({
  organizationId: id,
  userId: id,
  screenshotId: id,
  /** `uploads/{organization}/{user}/{screenshotId}`: private, no signed link ever reaches it. */
  objectKey: z.string().max(512),
  contentType: z.string().max(100),
  /** Bytes. */
  size: z.int().min(0),
  capturedAt: instantMs,
  receivedAt: instantMs,
  timeEntryId: id.nullable(),
  /** As asked for; the organisation's minimum is applied when it is processed. */
  blurLevel: blurLevel.nullable(),
  metadata: z.record(z.string(), z.unknown()).nullable(),
});
export type ScreenshotRecord = z.output<typeof screenshotRecord>;

/** Where an upload lies until it has been processed. */
export const uploadKey = (organizationId: string, userId: string, screenshotId: string): string =>
  `uploads/${organizationId}/${userId}/${screenshotId}`;
/** Stands beside an upload by presigned URL: what was agreed on, as JSON. */
export const claimKey = (organizationId: string, userId: string, screenshotId: string): string =>
  `claims/${organizationId}/${userId}/${screenshotId}`;

export const screenshotStatus = z.enum(['pending', 'ready', 'failed']);

/** One record of topic `screenshots-ready`: the state of one screenshot after a commit; the higher `version` counts. */
export const screenshotReadyRecord = z.object({
  organizationId: id,
  userId: id,
  screenshotId: id,
  status: screenshotStatus,
  capturedAt: instantMs,
  timeEntryId: id.nullable(),
  blurLevel: blurLevel.nullable(),
  width: z.int().nullable(),
  height: z.int().nullable(),
  failureCode: z.string().max(100).nullable(),
  version: z.int().positive(),
  deleted: z.boolean(),
});
export type ScreenshotReadyRecord = z.output<typeof screenshotReadyRecord>;

export const screenshot = z
  .object({
    id,
    userId: id,
    timeEntryId: id.nullable(),
    capturedAt: instantOut,
    status: screenshotStatus,
    blurLevel: blurLevel.nullable().meta({
      description: 'As it was done: the higher of what was asked for and the least the organisation demands.',
    }),
    width: z.int().nullable(),
    height: z.int().nullable(),
    url: z.string().nullable().meta({ description: 'Signed, for five minutes; null unless `ready`.' }),
    thumbnailUrl: z.string().nullable(),
    metadata: z.record(z.string(), z.unknown()).nullable(),
    failure: z.object({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'Screenshot' });
export type Screenshot = z.output<typeof screenshot>;
export const screenshotPage = page(screenshot);
/** Newest first. Of the caller unless `userId` is given; `from` and `to` bound capturedAt as [from, to). */
export const screenshotQuery = z.object({
  ...pageQuery,
  timeEntryId: id.optional(),
  userId: id.optional(),
  from: boundInstant.optional(),
  to: boundInstant.optional(),
  status: screenshotStatus.optional(),
});
