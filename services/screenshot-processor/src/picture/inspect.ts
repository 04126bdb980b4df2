import { open } from 'node:fs/promises';
import { isAvifSequence, type PictureType, sniffLength, sniffPicture } from '@worktide/schemas';
import { pictureFailure } from './failures.ts';

/** Bytes at an offset, fewer where the file ends. */
type Read = (offset: number, length: number) => Promise<Buffer>;

/**
 * The type that the bytes announce, before any decoder sees them.
 * @throws PictureFailure EMPTY, UNSUPPORTED_TYPE, TYPE_MISMATCH, ANIMATED or CORRUPT; and what reading the file throws.
 */
export async function inspect(input: Buffer | string, declaredType: string | undefined): Promise<PictureType> {
  if (typeof input !== 'string') return check(async (at, length) => input.subarray(at, at + length), declaredType);
  await using file = await open(input);
  return await check(async (offset, length) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  }, declaredType);
}

async function check(read: Read, declaredType: string | undefined): Promise<PictureType> {
  const head = await read(0, sniffLength);
  if (head.length === 0) throw pictureFailure('EMPTY');
  const type = sniffPicture(head);
  if (type === undefined) throw pictureFailure('UNSUPPORTED_TYPE');
  if (declaredType !== undefined && declaredType !== type) throw pictureFailure('TYPE_MISMATCH');
  if (type === 'image/avif' && isAvifSequence(head)) throw pictureFailure('ANIMATED');
  if (type === 'image/png' && (await isAnimatedPng(read))) throw pictureFailure('ANIMATED');
  return type;
}

/** More chunks than any real file has before its pixels; each costs a read. */
const maxChunks = 1_000;

/** The decoder knows nothing of animated PNG and would show its first frame: the chunk that makes it one comes first. */
async function isAnimatedPng(read: Read): Promise<boolean> {
  for (let at = 8, chunks = 0; chunks < maxChunks; chunks++) {
    const header = await read(at, 8);
    if (header.length < 8) throw pictureFailure('CORRUPT');
    const name = header.toString('latin1', 4, 8);
    if (name === 'acTL') return true;
    if (name === 'IDAT') return false;
    at += 12 + header.readUInt32BE(0);
  }
  throw pictureFailure('CORRUPT');
}
