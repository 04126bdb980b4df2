import { AppError, invalid, isOutOfSpace, storageFull, unavailable } from '@worktide/runtime';
import type { Driver, MakeRoutes } from './driver.ts';
import { checkKey, checkPrefix } from './keys.ts';
import { openSource, wholeBody } from './source.ts';
import type { ObjectStore, ObjectStoreOptions, PutOptions } from './types.ts';

const name = 'object store';
const buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const deleteAtOnce = 1_000;
const week = 7 * 24 * 3_600;

/** What all stores have alike: what keys and limits may be, what failures are called, and what is measured. */
export function createStore(driver: Driver, options: ObjectStoreOptions, makeRoutes?: MakeRoutes): ObjectStore {
  const { metrics, log } = options;
  const operations = metrics.counter('worktide_object_store_operations_total', 'Calls of the object store.', [
    'operation',
  ]);
  const failures = metrics.counter(
    'worktide_object_store_failures_total',
    'Calls of the object store that failed, and bodies that broke off.',
    ['operation'],
  );
  const seconds = metrics.histogram('worktide_object_store_seconds', 'Time of a call of the object store.', buckets, [
    'operation',
  ]);
  const bytes = metrics.counter('worktide_object_store_bytes_total', 'Bytes to and from the object store.', [
    'direction',
  ]);
  let closed = false;

  /** A failure of the store as 503; what the caller did wrong stays what it is. */
  function failed(operation: string, error: unknown): AppError {
    if (error instanceof AppError && error.statusCode !== 503) return error;
    failures.inc({ operation });
    const full = isOutOfSpace(error);
    const known = error instanceof AppError ? error : full ? storageFull(error) : unavailable(name, error);
    log.debug({ err: known, operation }, 'object store failed');
    return known;
  }

  async function call<T>(operation: string, act: () => Promise<T>): Promise<T> {
    if (closed) throw unavailable(name, new Error('it is closed'));
    const startedAt = performance.now();
    operations.inc({ operation });
    try {
      return await act();
    } catch (error) {
      throw failed(operation, error);
    } finally {
      seconds.observe({ operation }, (performance.now() - startedAt) / 1_000);
    }
  }

  async function put(key: string, body: Parameters<ObjectStore['put']>[1], options: PutOptions) {
    const { contentType, size, ifAbsent = false } = options;
    // One of our own, so that nothing stays on a caller's signal that lives long.
    const signal = options.signal ?? new AbortController().signal;
    const source = openSource(body, size, signal);
    try {
      checkKey(key);
      checkContentType(contentType);
      if (closed) throw unavailable(name, new Error('it is closed'));
      operations.inc({ operation: 'put' });
      const startedAt = performance.now();
      try {
        const stored = await driver.put(key, source.chunks, { contentType, ifAbsent, signal });
        bytes.inc({ direction: 'in' }, stored.size);
        return stored;
      } catch (error) {
        const own = source.failure();
        if (own) throw own.error;
        if (signal.aborted) throw signal.reason;
        throw failed('put', error);
      } finally {
        seconds.observe({ operation: 'put' }, (performance.now() - startedAt) / 1_000);
      }
    } finally {
      source.release();
    }
  }

  async function get(key: string, range?: Parameters<Driver['get']>[1]) {
    checkKey(key);
    const found = await call('get', () => driver.get(key, range));
    if (!found) return undefined;
    const length = found.range ? found.range.end - found.range.start + 1 : found.size;
    const body = wholeBody(found.body, length, (count) => bytes.inc({ direction: 'out' }, count));
    body.once('error', (error) => void failed('get', error));
    return { ...found, body };
  }

  return {
    put,
    async get(key) {
      const found = await get(key);
      if (!found) return undefined;
      const { range: _, ...rest } = found;
      return rest;
    },
    async head(key) {
      checkKey(key);
      return call('head', () => driver.head(key));
    },
    async delete(key) {
      checkKey(key);
      await call('delete', () => driver.delete(key));
    },
    async deleteMany(keys) {
      for (const key of keys) checkKey(key);
      for (let start = 0; start < keys.length; start += deleteAtOnce) {
        await call('delete', () => driver.deleteMany(keys.slice(start, start + deleteAtOnce)));
      }
    },
    async list(prefix, { after, limit }) {
      checkPrefix(prefix);
      if (after !== undefined) checkKey(after);
      checkWhole(limit, 1_000, 'A page has 1 to 1,000 items.');
      const { items, more } = await call('list', () => driver.list(prefix, after, limit));
      return { items, next: more ? items.at(-1)?.key : undefined };
    },
    async signedGet(key, options) {
      checkKey(key);
      checkExpiry(options.expiresSeconds);
      checkFileName(options.fileName);
      return call('sign', () => driver.signedGet(key, options));
    },
    async signedPut(key, { contentType, size, expiresSeconds }) {
      checkKey(key);
      checkContentType(contentType);
      checkExpiry(expiresSeconds);
      if (!Number.isSafeInteger(size) || size < 0) throw invalid('INVALID_OBJECT_SIZE', 'A size is a number of bytes.');
      return call('sign', () => driver.signedPut(key, { contentType, size, expiresSeconds }));
    },
    check: () => call('check', () => driver.check()),
    routes: makeRoutes?.({ put, get }) ?? [],
    async close() {
      closed = true;
      driver.close();
    },
  };
}

function checkContentType(type: string): void {
  if (!/^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(type)) {
    throw invalid('INVALID_CONTENT_TYPE', 'A content type is like image/png.');
  }
}

function checkFileName(name: string | undefined): void {
  if (name !== undefined && !/^[\w.+-]{1,200}$/.test(name)) throw new TypeError('a file name is plain ASCII');
}

const checkExpiry = (expiresSeconds: number): void =>
  checkWhole(expiresSeconds, week, 'A signed URL lasts 1 second to 7 days.');

function checkWhole(value: number, max: number, text: string): void {
  if (!Number.isInteger(value) || value < 1 || value > max) throw new RangeError(text);
}
