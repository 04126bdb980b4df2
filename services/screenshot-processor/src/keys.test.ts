import { expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { claimKey, uploadKey } from '@worktide/schemas';
import { pictureKey, screenshotOfResult, screenshotOfUpload, signResult, thumbnailKey } from './keys.ts';

const [organizationId, userId, id] = [uuidv7(), uuidv7(), uuidv7()];
const row = { organizationId, id, timeEntryId: null, capturedAt: new Date('2026-11-21T23:59:59.999Z') };
const signedGet = async (key: string, { expiresSeconds }: { expiresSeconds: number }) => `${key}?${expiresSeconds}`;

test('results have links for five minutes', async () => {
  expect(await signResult({ signedGet }, pictureKey(row))).toBe(`screenshots/${organizationId}/2026-11-21/${id}?300`);
  expect(screenshotOfResult(thumbnailKey(row))).toEqual({ organizationId, id });
});

test.each([
  uploadKey(organizationId, userId, id),
  claimKey(organizationId, userId, id),
  `screenshots/${organizationId}/../../uploads/${id}`,
  `screenshots/${organizationId}/${id}`,
  `other/${organizationId}/2026-11-21/${id}`,
  '',
])('nothing else has: %s', async (key) => {
  await expect(signResult({ signedGet }, key)).rejects.toThrow('only results');
});

test('an upload’s key is read back, and others are not', () => {
  expect(screenshotOfUpload(uploadKey(organizationId, userId, id))).toEqual({ organizationId, userId, id });
  for (const key of [
    'uploads/x',
    `uploads/${organizationId}/${userId}/${id}/more`,
    `uploads/${organizationId}/x/${id}`,
  ]) {
    expect(screenshotOfUpload(key)).toBeUndefined();
  }
});
