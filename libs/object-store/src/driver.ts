import type { Readable } from 'node:stream';
import type { RawRoute } from '@worktide/runtime';
import type { ListedObject, ObjectStore, OpenedObject, StoredObject } from './types.ts';

export interface DriverPut {
  contentType: string;
  ifAbsent: boolean;
  /** Never aborted once the source has ended for another reason. */
  signal: AbortSignal;
}

/** First and last byte, both inclusive. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * What a kind of store does. Its callers have checked keys and limits, and take any error that is no AppError for a
 * failure of the store.
 */
export interface Driver {
  /** Throws what the source throws; it then leaves nothing behind. */
  put(key: string, source: AsyncIterable<Buffer>, options: DriverPut): Promise<{ size: number; etag: string }>;
  /** `range` picks a part of it by its size; `size` stays that of the whole. */
  get(
    key: string,
    range?: (size: number) => ByteRange | undefined,
  ): Promise<(OpenedObject & { range: ByteRange | undefined }) | undefined>;
  head(key: string): Promise<StoredObject | undefined>;
  delete(key: string): Promise<void>;
  /** At most 1,000. */
  deleteMany(keys: readonly string[]): Promise<void>;
  list(prefix: string, after: string | undefined, limit: number): Promise<{ items: ListedObject[]; more: boolean }>;
  signedGet: ObjectStore['signedGet'];
  signedPut: ObjectStore['signedPut'];
  check(): Promise<void>;
  close(): void;
}

/** What serves a driver's signed URLs, where the store does not do that itself. */
export type MakeRoutes = (store: Pick<ObjectStore, 'put'> & { get: Driver['get'] }) => RawRoute[];

export type Body = Buffer | Readable;
