import type { Readable } from 'node:stream';
import { AppError, invalid } from '@worktide/runtime';
import { type PictureType, sniffLength, sniffPicture } from '@worktide/schemas';

/** The first bytes of a stream (at least as many as tell a picture's kind, where it has them), and all that follow. */
export interface Opened {
  head: Buffer;
  /** The chunks behind the head, one a call; undefined at the end. The stream is left as it is. */
  next(): Promise<Buffer | undefined>;
}

export async function openStream(stream: Readable): Promise<Opened> {
  const chunks = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  const next = async (): Promise<Buffer | undefined> => {
    const step = await chunks.next();
    return step.done ? undefined : step.value;
  };
  const first: Buffer[] = [];
  for (let length = 0; length < sniffLength; ) {
    const chunk = await next();
    if (!chunk) break;
    first.push(chunk);
    length += chunk.length;
  }
  return { head: Buffer.concat(first), next };
}

/**
 * The kind of picture that begins like this, whatever was declared.
 * @throws AppError `EMPTY_FILE` (400), `UNSUPPORTED_PICTURE` (415).
 */
export function kindOf(head: Buffer, declared: string): PictureType {
  if (head.length === 0) throw invalid('EMPTY_FILE', 'The file is empty.');
  const kind = sniffPicture(head);
  if (kind) return kind;
  const shown = /^[\w.+-]{1,60}\/[\w.+-]{1,60}$/.test(declared) ? declared : 'something else';
  throw new AppError(
    'UNSUPPORTED_PICTURE',
    `The file is no JPEG, PNG, WebP or AVIF: its first bytes say so, though it was declared as ${shown}.`,
    { statusCode: 415 },
  );
}
