import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ObjectStore } from '@worktide/object-store';
import { AppError } from '@worktide/runtime';
import type { Claim, Progress } from './claims.ts';
import { columnsOf } from './columns.ts';
import { formats } from './formats.ts';
import { fileKeyOf } from './keys.ts';
import { openThread } from './open-thread.ts';
import { type RowsDeps, writeRows } from './rows.ts';

/** What one export may be at most, and all files of an organisation before it can have no more. */
export interface ExportBounds {
  maxRows: number;
  maxBytes: number;
  maxStoredBytes: number;
}

export interface WriteDeps extends RowsDeps {
  store: Pick<ObjectStore, 'put'>;
  bounds: ExportBounds;
}

/** An export that would be too large, which no further try makes smaller. */
export const isTooLarge = (error: unknown): error is AppError =>
  error instanceof AppError && error.code === 'EXPORT_TOO_LARGE';

const tooLarge = (what: string): AppError =>
  new AppError('EXPORT_TOO_LARGE', `The export would have more than ${what}. Narrow it down.`, { statusCode: 422 });

/**
 * Writes the file of an export into the store, row by row: what is held of it is bounded, however large it becomes.
 * @param progress is kept up to date.
 * @returns where it lies. @throws whatever ends it; the store has nothing of it then.
 */
export async function writeFile(
  { store, bounds, ...rows }: WriteDeps,
  claim: Claim,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  // A signal that is aborted already tells nobody any more.
  signal.throwIfAborted();
  const { report, format, asked, organizationId } = claim;
  const { contentType } = formats[format];
  const fileKey = fileKeyOf(claim);
  const thread = openThread({ format, columns: columnsOf[report], name: report });
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const stop = (): void => thread.fail(either.reason as Error);
  either.addEventListener('abort', stop, { once: true });
  const expectRows = (count: number): void => {
    if (count > bounds.maxRows) throw tooLarge(`${bounds.maxRows.toLocaleString('en')} rows`);
  };

  const sink = {
    async add(chunk: Uint8Array) {
      const taken = await thread.add(chunk);
      progress.rows = taken.rows;
      expectRows(taken.rows);
      return taken;
    },
    expect: expectRows,
    progress(done: number) {
      // All is done once the file is there.
      progress.progress = Math.max(progress.progress, Math.min(done, 1) * 0.99);
    },
  };
  async function read(): Promise<void> {
    await writeRows(rows, { organizationId, asked, now: Date.now() }, sink, either);
    thread.end();
  }

  const counted = new PassThrough();
  async function* count(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      progress.bytes += chunk.length;
      if (progress.bytes > bounds.maxBytes) throw tooLarge(`${bounds.maxBytes.toLocaleString('en')} bytes`);
      yield chunk;
    }
  }

  const putting = store.put(fileKey, counted, { contentType, signal: either });
  const works = [read(), pipeline(thread.output, count, counted), putting];
  try {
    await Promise.all(works);
    return fileKey;
  } catch (error) {
    // The others end with the first that fails.
    ended.abort(error);
    await Promise.allSettled(works);
    // The store's word is the best: it knows its own failure, and else says what ended its source.
    throw signal.aborted
      ? signal.reason
      : await putting.then(
          () => error,
          (reason: unknown) => reason,
        );
  } finally {
    either.removeEventListener('abort', stop);
    thread.fail(new Error('the export is over'));
  }
}
