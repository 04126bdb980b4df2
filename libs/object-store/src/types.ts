import type { Readable } from 'node:stream';
import type { Logger, Metrics, RawRoute } from '@worktide/runtime';

export interface ObjectStoreOptions {
  log: Logger;
  metrics: Metrics;
  /**
   * Signs the URLs of a folder; every process that signs or serves them has the same. Without it a folder signs
   * nothing and has no `routes`. S3 does not need it.
   */
  signingSecret?: string;
  /**
   * Where `routes` are reached from outside, e.g. `https://worktide.example`; the signed URLs of a folder begin with
   * it. Without it they begin with `/objects/`, to be resolved against whoever gave them out. S3 does not need it.
   */
  publicUrl?: string;
  /**
   * Asked by `routes` before an object goes in or out, so that these are bounded like everything else: takes a share of
   * something, or throws. What it returns is called when the transfer is over, whatever ended it.
   */
  admit?: (transfer: {
    method: 'GET' | 'PUT';
    key: string;
    size?: number;
    /** Ends it for others' sake; false when it is over. */
    giveUp: (error: Error) => boolean;
  }) => () => void;
  /** Over how long `routes` measure whether whoever reads an object is too slow, in ms; 10,000 unless said. */
  readGraceMs?: number;
  /** How long S3 may be silent within one attempt of a call, in ms; 10,000 unless said. */
  timeoutMs?: number;
}

export interface PutOptions {
  /** Kept with the object and answered with it, e.g. `image/png`. */
  contentType: string;
  /**
   * Bytes of a stream, where known: a body of another size is refused with 400 `OBJECT_SIZE_MISMATCH`, and nothing is
   * stored.
   */
  size?: number;
  /** Refuses with 409 `OBJECT_EXISTS` where there is such an object; of those who race exactly one stores. */
  ifAbsent?: boolean;
  /** Ends it: rejects with the signal's reason, and nothing is stored. */
  signal?: AbortSignal;
}

export interface StoredObject {
  /** Bytes. */
  size: number;
  contentType: string;
  /** Another one for another content; without quotes. */
  etag: string;
}

export interface OpenedObject extends StoredObject {
  /**
   * To be read to its end or destroyed, else its connection or file stays open. Where the store goes away in the
   * middle, or has less than `size` bytes to give, it ends in an error (`DEPENDENCY_UNAVAILABLE`), never as if whole.
   */
  body: Readable;
}

export interface ListedObject {
  key: string;
  /** Bytes. */
  size: number;
  /** When it was stored, by the store's clock. */
  modifiedAt: Date;
}

/**
 * Bytes by key, in S3 or in a folder; both behave alike.
 *
 * Keys: 1–512 bytes of UTF-8, parts parted by `/` of 1–200 bytes each, none of them `.` or `..`, no control
 * characters, no backslash, no lone surrogate; any other key is refused with 400 `INVALID_OBJECT_KEY`. Do not use both
 * `a` and `a/b`: AWS and a folder take both, some S3 servers do not.
 *
 * A store that is away, is slow or refuses: AppError `DEPENDENCY_UNAVAILABLE` (503), with the reason as cause.
 */
export interface ObjectStore {
  /**
   * Stores an object, in place of one that is there (unless `ifAbsent`). It appears whole or not at all, and is
   * durable when this resolves. Holds at most 32 MB of a stream in memory, less of a small one. A stream that fails is
   * this call's failure, with that same error. The stream is destroyed unless it was read to its end.
   */
  put(key: string, body: Buffer | Readable, options: PutOptions): Promise<{ size: number; etag: string }>;
  /** An object to read; undefined where there is none. */
  get(key: string): Promise<OpenedObject | undefined>;
  /** What is known of an object without reading it; undefined where there is none. */
  head(key: string): Promise<StoredObject | undefined>;
  /** Removes an object; nothing to remove is fine. */
  delete(key: string): Promise<void>;
  /** Removes any number of objects; those that are not there are fine. Where it fails some may be gone. */
  deleteMany(keys: readonly string[]): Promise<void>;
  /**
   * The objects whose keys begin with `prefix` (any text, `''` for all), in the order of their keys' UTF-8 bytes.
   * @param options.after only keys behind this one.
   * @param options.limit 1–1,000 items.
   * @returns `next`: the `after` of the next page; undefined on the last.
   */
  list(
    prefix: string,
    options: { after?: string | undefined; limit: number },
  ): Promise<{ items: ListedObject[]; next: string | undefined }>;
  /**
   * A URL that gives the object to whoever has it, by GET (and no other method), for 1 s to 7 days. Asks nobody:
   * whether there is such an object shows at the GET (404).
   * @param options.fileName what a browser saves it as, and does not show: plain ASCII without quotes.
   */
  signedGet(key: string, options: { expiresSeconds: number; fileName?: string }): Promise<string>;
  /**
   * A URL to which whoever has it may PUT the object, with exactly this size and type: another size or type is refused
   * by the store. `headers` are to be sent with it as they are. May be used again until it expires.
   */
  signedPut(
    key: string,
    options: { contentType: string; size: number; expiresSeconds: number },
  ): Promise<{ url: string; headers: Record<string, string> }>;
  /** Resolves where the store answers and the bucket or folder is there. @throws AppError 503. */
  check(): Promise<void>;
  /**
   * What serves the signed URLs (`GET` and `PUT /objects/<key>`), for a service's `rawRoutes`; empty where the store
   * does that itself, as S3 does. Give them to any service whose origin is `publicUrl`.
   */
  readonly routes: readonly RawRoute[];
  /** Lets go of connections; calls after it fail. */
  close(): Promise<void>;
}
