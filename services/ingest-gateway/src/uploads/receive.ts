import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { ObjectStore } from '@worktide/object-store';
import { AppError, type Caller, type Logger, unavailable, uuidv7 } from '@worktide/runtime';
import { type PictureType, uploadKey } from '@worktide/schemas';
import type { Config } from '../config.ts';
import type { Picture } from './announce.ts';
import { readFields } from './fields.ts';
import { type FormFields, type FormOptions, readForm } from './form.ts';
import { kindOf, openStream } from './picture.ts';

interface Stored {
  screenshotId: string;
  contentType: PictureType;
  size: number;
}

interface ReceiveOptions {
  config: Config;
  store: ObjectStore;
  log: Logger;
  begin: FormOptions['begin'];
  /** Whether it is known before it comes that nothing of it may be kept: then the store never hears of it. */
  nowhere: boolean;
  /** Asked when all of it was read: whether nothing of it may be kept. @param capturedAt epoch ms; now, where it is not said. */
  taken(capturedAt: number | undefined): Promise<boolean>;
}

const isThere = (error: unknown): boolean => error instanceof AppError && error.code === 'OBJECT_EXISTS';

/**
 * Takes one upload into the store as it comes. The object appears only when the whole form was read and found good, so
 * that nothing has to be removed of those that are refused, break off or take too long; an object that others may
 * already count on is never touched. What privacy takes away is read and judged like any other, and kept nowhere.
 */
export async function receive(
  req: IncomingMessage,
  caller: Caller,
  { config, store, log, begin, nowhere, taken }: ReceiveOptions,
): Promise<Picture & { kept: boolean }> {
  const aborter = new AbortController();
  const seconds = config.UPLOAD_TIMEOUT_SECONDS;
  const timer = setTimeout(() => aborter.abort(tooSlow(seconds)), seconds * 1_000);
  let storing: Promise<Stored> | undefined;
  let early: string | undefined;
  let kept = !nowhere;
  try {
    const form: Promise<FormFields> = readForm(req, {
      maxFileBytes: config.SCREENSHOT_MAX_BYTES,
      begin,
      signal: aborter.signal,
      onFile(file, declared, fields) {
        // What can be refused before the file is.
        early = readFields(fields, config).screenshotId;
        const whole = form.then(async (all) => {
          const { capturedAt } = readFields(all, config);
          if (kept) kept = !(await taken(capturedAt));
        });
        whole.catch(() => {});
        storing = put(file, declared, whole, aborter.signal);
        storing.catch((error: unknown) => aborter.abort(error));
      },
    });
    const described = readFields(await form, config);
    clearTimeout(timer);
    const stored = await storing!;
    if (!kept) return { ...described, ...stored, screenshotId: described.screenshotId ?? stored.screenshotId, kept };
    const late = described.screenshotId !== early ? described.screenshotId : undefined;
    return { ...described, ...(late ? await move(stored, late) : stored), kept };
  } finally {
    clearTimeout(timer);
    // When it is answered there is nothing left of it.
    await storing?.catch(() => {});
  }

  async function put(file: Readable, declared: string, whole: Promise<void>, signal: AbortSignal): Promise<Stored> {
    const opened = await openStream(file);
    const contentType = kindOf(opened.head, declared);
    const screenshotId = early ?? uuidv7();
    const key = keyOf(screenshotId);
    let size = opened.head.length;
    async function* bytes(): AsyncGenerator<Buffer> {
      yield opened.head;
      for (let chunk = await opened.next(); chunk; chunk = await opened.next()) {
        size += chunk.length;
        yield chunk;
      }
      await whole;
      // Whatever the store has of it by now is no object yet, and never will be.
      if (!kept) throw new AppError('NOT_KEPT', 'Privacy takes it away.');
    }
    if (nowhere) {
      for (let chunk = await opened.next(); chunk; chunk = await opened.next()) size += chunk.length;
      await whole;
      return { screenshotId, contentType, size };
    }
    try {
      const options = { contentType, signal, ifAbsent: early !== undefined };
      const stored = await store.put(key, Readable.from(bytes()), options);
      return { screenshotId, contentType, size: stored.size };
    } catch (error) {
      if (!kept) return { screenshotId, contentType, size };
      if (!isThere(error)) throw error;
      // Sent again: the first counts. The form goes on behind the file.
      while (await opened.next());
      await whole;
      return kept ? existing(screenshotId) : { screenshotId, contentType, size };
    }
  }

  /** What is told of an object is what it is, not what was sent this time. */
  async function existing(screenshotId: string): Promise<Stored> {
    const found = await store.head(keyOf(screenshotId));
    // Processed or swept since. Sent once more it is either stored again or known already.
    if (!found) throw unavailable('object store', new Error('the object was removed meanwhile'));
    return { screenshotId, contentType: found.contentType as PictureType, size: found.size };
  }

  /** The id came behind the file, when the object had its name already: stores have no way to rename. */
  async function move(stored: Stored, screenshotId: string): Promise<Stored> {
    const from = keyOf(stored.screenshotId);
    try {
      const found = await store.get(from);
      if (!found) throw unavailable('object store', new Error('the object was removed meanwhile'));
      const { contentType, size } = stored;
      await store.put(keyOf(screenshotId), found.body, { contentType, size, ifAbsent: true });
      return { ...stored, screenshotId };
    } catch (error) {
      if (!isThere(error)) throw error;
      return await existing(screenshotId);
    } finally {
      // Nobody knows this name; where this fails the sweeper finds it.
      await store.delete(from).catch((error: unknown) => log.warn({ err: error, key: from }, 'an upload was left'));
    }
  }

  function keyOf(screenshotId: string): string {
    return uploadKey(caller.organizationId, caller.userId, screenshotId);
  }
}

const tooSlow = (seconds: number): AppError =>
  new AppError('UPLOAD_TOO_SLOW', `An upload may take ${seconds} seconds.`, { statusCode: 408 });
