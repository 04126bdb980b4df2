import type { ObjectStore } from '@worktide/object-store';
import type { ScreenshotRow } from './rows.ts';

const results = 'screenshots/';
const thumbnailEnd = '-thumbnail';
const linkSeconds = 300;

type Named = Pick<ScreenshotRow, 'organizationId' | 'id' | 'timeEntryId' | 'capturedAt'>;

/** Under its entry, or under the UTC day on which it was taken. */
export const pictureKey = ({ organizationId, id, timeEntryId, capturedAt }: Named): string =>
  `${results}${organizationId}/${timeEntryId ?? capturedAt.toISOString().slice(0, 10)}/${id}`;
export const thumbnailKey = (row: Named): string => pictureKey(row) + thumbnailEnd;

export const resultKeys = (row: Named): string[] => [pictureKey(row), thumbnailKey(row)];

/** The screenshot that a result belongs to; undefined for a key that is none of ours. */
export function screenshotOfResult(key: string): { organizationId: string; id: string } | undefined {
  const [, organizationId, folder, name, ...rest] = key.split('/');
  if (!key.startsWith(results) || rest.length > 0 || !organizationId || !folder || !name) return undefined;
  const id = name.endsWith(thumbnailEnd) ? name.slice(0, -thumbnailEnd.length) : name;
  return isUuid(organizationId) && isUuid(id) ? { organizationId, id } : undefined;
}

/** The screenshot of an upload or a claim; undefined for a key that is none of ours. */
export function screenshotOfUpload(key: string): { organizationId: string; userId: string; id: string } | undefined {
  const [, organizationId, userId, id, ...rest] = key.split('/');
  if (rest.length > 0 || !organizationId || !userId || !id) return undefined;
  if (![organizationId, userId, id].every(isUuid)) return undefined;
  return { organizationId, userId, id };
}

const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);

/**
 * A link to a result, for five minutes. The only place of this service that makes links: what is not a result, an upload
 * above all, has none.
 */
export async function signResult(store: Pick<ObjectStore, 'signedGet'>, key: string): Promise<string> {
  if (!screenshotOfResult(key)) throw new Error('only results of processing have links');
  return store.signedGet(key, { expiresSeconds: linkSeconds });
}
