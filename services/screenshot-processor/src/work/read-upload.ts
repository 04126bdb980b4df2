import type { ObjectStore } from '@worktide/object-store';
import { AppError } from '@worktide/runtime';
import { maxScreenshotBytes } from '@worktide/schemas';

/**
 * The bytes of an upload; undefined where there is none.
 * @throws AppError `TOO_LARGE` (422) above 50 MB; the signal's reason; 503.
 */
export async function readUpload(
  store: Pick<ObjectStore, 'get'>,
  key: string,
  signal: AbortSignal,
): Promise<{ bytes: Buffer; contentType: string } | undefined> {
  signal.throwIfAborted();
  const found = await store.get(key);
  if (!found) return undefined;
  const { body, size, contentType } = found;
  const stop = (): void => void body.destroy(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    // It may have come before there was anything to stop.
    signal.throwIfAborted();
    if (size > maxScreenshotBytes) throw new AppError('TOO_LARGE', 'The file is too large.', { statusCode: 422 });
    // The body has exactly as many bytes as it says, or fails: one buffer, and no second one to join the parts in.
    const bytes = Buffer.allocUnsafe(size);
    let at = 0;
    for await (const chunk of body) at += (chunk as Buffer).copy(bytes, at);
    return { bytes, contentType };
  } finally {
    signal.removeEventListener('abort', stop);
    body.destroy();
  }
}
