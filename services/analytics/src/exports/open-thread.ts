import { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { unavailable } from '@worktide/runtime';
import type { FromThread, ThreadData, ToThread } from './thread.ts';

/**
 * Objects of the thread: several times what any format needs. Small, since the engine lets rubbish lie as long as there is
 * room for it, and it would lie in this process's memory.
 */
const resourceLimits = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 8 };

export interface FormatThread {
  /**
   * Writes rows: lines of JSON arrays, cut anywhere. Resolves when they are written, so that nothing piles up before it.
   * @returns how many there have been.
   */
  add(chunk: Uint8Array): Promise<{ rows: number }>;
  /** There are no more. */
  end(): void;
  /** The file. Fails where the thread does, or with the error of `fail`. */
  output: Readable;
  /** Ends it at any point; harmless once it has ended. */
  fail(error: Error): void;
}

/**
 * A file written by a thread of its own: to read and write a million rows is seconds of work, during which this process
 * has reports to answer and records to store.
 */
export function openThread(data: ThreadData): FormatThread {
  const worker = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: data,
    resourceLimits,
  });
  const say = (message: ToThread): void => worker.postMessage(message);
  let taking: { resolve: (taken: { rows: number }) => void; reject: (error: Error) => void }[] = [];
  let failure: Error | undefined;
  let isDone = false;

  const sizes: number[] = [];
  const output = new Readable({
    highWaterMark: 1,
    read() {
      // What was pushed before is in the hands of the reader now.
      for (const used of sizes.splice(0)) say({ used });
    },
    destroy(error, done) {
      end(error ?? new Error('nobody reads what is written'));
      void worker.terminate().then(() => done(error));
    },
  });

  function end(error: Error): void {
    failure ??= error;
    for (const { reject } of taking) reject(failure);
    taking = [];
  }

  worker.on('message', (message: FromThread) => {
    if ('output' in message) {
      sizes.push(message.output.byteLength);
      output.push(Buffer.from(message.output.buffer));
    } else if ('done' in message) {
      isDone = true;
      output.push(null);
    } else taking.shift()?.resolve(message);
  });
  // E.g. out of memory: of something that another process may have more of, or another try.
  worker.on('error', (error) => output.destroy(error));
  worker.on('exit', () => {
    if (!isDone) output.destroy(unavailable('format thread', new Error('it ended before its file')));
  });

  return {
    add(chunk) {
      if (failure) return Promise.reject(failure);
      const taken = new Promise<{ rows: number }>((resolve, reject) => {
        taking.push({ resolve, reject });
      });
      say({ chunk });
      return taken;
    },
    end: () => say({ end: true }),
    output,
    fail: (error) => void output.destroy(error),
  };
}
