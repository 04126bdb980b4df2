import { takenAt } from '@worktide/privacy';
import { type AnyRoute, AppError, conflict, notFound, route, uuidv7 } from '@worktide/runtime';
import { confirmBody, presignBody, presignedUpload, takenScreenshot, uploadKey } from '@worktide/schemas';
import { type Claim, createClaims } from './claims.ts';
import { checkCapturedAt } from './fields.ts';
import { bodyTooLarge } from './form.ts';
import { kindOf, openStream } from './picture.ts';
import type { UploadDependencies } from './post-screenshot.ts';

/** How long a signed URL for an upload lasts. */
const expiresSeconds = 15 * 60;

/** Uploads past the gateway: a signed URL for the store, then the word that it is there. */
export function signedUploads(deps: UploadDependencies): AnyRoute[] {
  const { config, store, announcer, privacy, limit, uploads, stored } = deps;
  const claims = createClaims(store);
  const common = { method: 'post', tag: 'ingest', access: 'user', agents: true, userLimit: limit } as const;

  const presign = route({
    ...common,
    path: '/api/v1/sync/screenshots/presign',
    operationId: 'presignScreenshot',
    summary: 'A signed URL to upload a screenshot to',
    description:
      'PUT the picture to `uploadUrl` with the `headers` as they are, then confirm it. Size and type are part of the signature.',
    body: presignBody,
    bodyLimit: 10_000,
    responses: { 201: { description: 'The URL, for 15 minutes.', schema: presignedUpload } },
    alsoAnswers: { 409: '`STORAGE_QUOTA_EXCEEDED`: the plan of the organization takes no more screenshots.' },
    async handler({ body, caller }) {
      const { contentType, size } = body;
      if (size > config.SCREENSHOT_MAX_BYTES) throw bodyTooLarge(config.SCREENSHOT_MAX_BYTES);
      await stored.requireScreenshots(caller.organizationId);
      const screenshotId = uuidv7();
      const key = uploadKey(caller.organizationId, caller.userId, screenshotId);
      const { url, headers } = await store.signedPut(key, { contentType, size, expiresSeconds });
      const expiresAt = Date.now() + expiresSeconds * 1_000;
      const timeEntryId = body.timeEntryId?.toLowerCase() ?? null;
      await claims.write(caller, screenshotId, { contentType, size, timeEntryId, expiresAt });
      const answer = { screenshotId, uploadUrl: url, headers, expiresAt: new Date(expiresAt).toISOString() };
      return { status: 201, body: answer };
    },
  });

  const confirm = route({
    ...common,
    path: '/api/v1/sync/screenshots/confirm',
    operationId: 'confirmScreenshot',
    summary: 'Say that a screenshot was uploaded to its signed URL',
    description: 'Confirming again is harmless. A picture that is not as agreed is removed.',
    body: confirmBody,
    bodyLimit: 32_000,
    responses: { 202: { description: 'It is durable and will be processed.', schema: takenScreenshot } },
    alsoAnswers: {
      404: 'No such upload was agreed on with this user.',
      409: 'Nothing was uploaded (`UPLOAD_MISSING`), or not what was agreed on (`UPLOAD_DIFFERS`).',
      415: 'What was uploaded is none of the four kinds of picture, or the body is no JSON.',
    },
    async handler({ body, caller }) {
      try {
        const screenshotId = body.screenshotId.toLowerCase();
        const answer = { status: 202, body: { screenshotId } };
        const capturedAt = body.capturedAt === undefined ? undefined : checkCapturedAt(body.capturedAt, config);
        const claim = await claims.read(caller, screenshotId);
        if (!claim) throw notFound();
        if (!(await isAsAgreed(uploadKey(caller.organizationId, caller.userId, screenshotId), claim))) {
          // Gone because it was processed.
          if (claim.confirmedAt !== undefined) return answer;
          throw conflict('UPLOAD_MISSING', 'Nothing was uploaded to the signed URL.');
        }
        const at = capturedAt ?? Date.now();
        const why = takenAt(await privacy.of(caller), { start: at, end: at + 1 }, caller, Date.now());
        if (why) {
          await store.delete(uploadKey(caller.organizationId, caller.userId, screenshotId));
          // Confirmed again it is answered alike.
          await claims.write(caller, screenshotId, { ...claim, confirmedAt: Date.now() });
          privacy.taken([why]);
          return answer;
        }
        const { contentType, size, timeEntryId } = claim;
        await announcer.announce(caller, {
          screenshotId,
          contentType,
          size,
          timeEntryId,
          capturedAt,
          blurLevel: body.blurLevel ?? null,
          metadata: body.metadata ?? null,
        });
        if (claim.confirmedAt === undefined) {
          await claims.write(caller, screenshotId, { ...claim, confirmedAt: Date.now() });
          uploads.accepted('signed', size);
        }
        return answer;
      } catch (error) {
        uploads.refused(error);
        throw error;
      }
    },
  });

  /**
   * False where there is no object.
   * @throws AppError `UPLOAD_DIFFERS` (409), `UNSUPPORTED_PICTURE` (415); the object is removed then.
   */
  async function isAsAgreed(key: string, claim: Claim): Promise<boolean> {
    const found = await store.get(key);
    if (!found) return false;
    try {
      const { head } = await openStream(found.body);
      const kind = kindOf(head, found.contentType);
      if (found.size === claim.size && found.contentType === claim.contentType && kind === claim.contentType)
        return true;
      const text = `What was uploaded is not what was agreed on: ${claim.size} bytes of ${claim.contentType}.`;
      throw conflict('UPLOAD_DIFFERS', text);
    } catch (error) {
      if (error instanceof AppError && error.statusCode < 500) await store.delete(key);
      throw error;
    } finally {
      found.body.destroy();
    }
  }

  return [presign, confirm];
}
