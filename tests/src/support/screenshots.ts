import { drawScreenshot } from '@worktide/fleet';
import { uuidv7 } from '@worktide/runtime';
import { call, expectStatus, type Json, until } from '@worktide/testing';

/** A multipart form with a picture and fields, as agents send it. */
export function formOf(
  picture: Buffer,
  fields: Record<string, string> = {},
): { body: Buffer; headers: Record<string, string> } {
  const boundary = 'worktide-test-boundary';
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="screen.png"\r\nContent-Type: image/png\r\n\r\n`;
  return {
    body: Buffer.concat([Buffer.from(parts.join('') + head), picture, Buffer.from(`\r\n--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  };
}

export const pictureOf = (seed: number): Promise<Buffer> => drawScreenshot(seed, { width: 640, height: 360 });

/** Uploads a small drawn screenshot; its id. @param os stands in its metadata. */
export async function uploadScreenshot(
  origin: string,
  bearer: string,
  os: string,
  fields: Record<string, string> = {},
): Promise<string> {
  const form = formOf(await pictureOf(1), { metadata: JSON.stringify({ os }), ...fields });
  return expectStatus(await call(origin, 'post', '/api/v1/sync/screenshots', { bearer, ...form }), 202).screenshotId;
}

/** A screenshot once it is what it will be. */
export async function settled(origin: string, bearer: string, id: string): Promise<Json | undefined> {
  const { status, body } = await call(origin, 'get', `/api/v1/screenshots/${id}`, { bearer });
  return status === 200 && body.status !== 'pending' ? body : undefined;
}

/** Uploads until it is acknowledged, as an agent on a bad network does: always under the same id. */
export async function uploadStubbornly(
  origin: string,
  bearer: string,
  picture: Buffer,
  blurLevel: number,
): Promise<string> {
  const screenshotId = uuidv7();
  const form = formOf(picture, { screenshotId, blurLevel: String(blurLevel) });
  return until(
    'an upload to be acknowledged',
    async () => {
      const { status, text } = await call(origin, 'post', '/api/v1/sync/screenshots', { bearer, ...form });
      if (status === 202) return screenshotId;
      // Only what says "later" may be tried again.
      if (status !== 503 && status !== 429) throw new Error(`an upload was answered ${status}: ${text}`);
      return false;
    },
    { seconds: 90, everyMs: 200 },
  );
}
