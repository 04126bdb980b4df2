import type { ObjectStore } from '@worktide/object-store';
import type { Caller } from '@worktide/runtime';
import { claimKey, id, instantMs, pictureTypes } from '@worktide/schemas';
import { z } from 'zod';

/**
 * What was agreed on for an upload by signed URL. It lies in the store beside the object, so that every replica knows it
 * without a database.
 */
const claimSchema = z.object({
  contentType: z.enum(pictureTypes),
  size: z.int(),
  timeEntryId: id.nullable(),
  /** Of the signed URL. */
  expiresAt: instantMs,
  /** Since when the log knows of the upload. */
  confirmedAt: instantMs.optional(),
});
export type Claim = z.output<typeof claimSchema>;

export interface Claims {
  /** Undefined where this user has none of that id. */
  read(caller: Caller, screenshotId: string): Promise<Claim | undefined>;
  write(caller: Caller, screenshotId: string, claim: Claim): Promise<void>;
}

export const createClaims = (store: ObjectStore): Claims => ({
  async read({ organizationId, userId }, screenshotId) {
    const found = await store.get(claimKey(organizationId, userId, screenshotId));
    if (!found) return undefined;
    const chunks = (await found.body.toArray()) as Buffer[];
    return claimSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  },
  async write({ organizationId, userId }, screenshotId, claim) {
    const body = Buffer.from(JSON.stringify(claim));
    await store.put(claimKey(organizationId, userId, screenshotId), body, { contentType: 'application/json' });
  },
});
