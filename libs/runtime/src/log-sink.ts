import { close, fstatSync, openSync, renameSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { sleep } from './sleep.ts';

const writeSome = promisify(write);

/** Lines that wait, in characters; what comes beyond them is lost. */
const maxWaiting = 4_000_000;
const retryMs = 1_000;
const nothing = Buffer.alloc(0);

/** Where a log's lines go. Never throws, never ends the process, never holds it up at its end: lines are lost instead. */
export interface LogSink {
  write(line: string): void;
  /** Lines that could not be written so far. */
  readonly lost: number;
}

export interface LogSinkOptions {
  /** A file is renamed to `<file>.1`, in place of the one before, when it has grown so large. */
  maxBytes?: number;
}

/**
 * Writes lines in the background, to a file or to an open descriptor (1 is stdout). While the disk is full it drops
 * them, and says how many in the first line after.
 *
 * Not pino's own destination: an error of the disk ends the process there, and flushing at exit tries for ever.
 * @param target a file is opened at once. @throws where it cannot be.
 */
export function openLogSink(target: string | number, options: LogSinkOptions = {}): LogSink {
  const { maxBytes = Number.POSITIVE_INFINITY } = options;
  let fd = typeof target === 'string' ? openSync(target, 'a', 0o600) : target;
  let written = typeof target === 'string' ? fstatSync(fd).size : 0;
  let waiting: string[] = [];
  let length = 0;
  let running = false;
  /** Handed to the system, and not known to be written. */
  let flying: Buffer = nothing;
  let lost = 0;
  let told = 0;

  function take(): { lines: number; bytes: Buffer } {
    const lines = waiting;
    waiting = [];
    length = 0;
    // The line before may have been cut.
    const notice = lost > told ? `\n${noticeOf(lost - told)}\n` : '';
    return { lines: lines.length, bytes: Buffer.from(notice + lines.join('')) };
  }

  function rotate(): void {
    if (typeof target !== 'string' || written < maxBytes) return;
    renameSync(target, `${target}.1`);
    const next = openSync(target, 'a', 0o600);
    close(fd, () => {});
    fd = next;
    written = 0;
  }

  async function writeAll(bytes: Buffer): Promise<void> {
    for (flying = bytes; flying.length > 0; ) {
      try {
        const { bytesWritten } = await writeSome(fd, flying);
        flying = flying.subarray(bytesWritten);
        written += bytesWritten;
      } catch (error) {
        // A pipe whose reader is slow.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await sleep(20);
      }
    }
  }

  async function pump(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const losses = lost;
      const { lines, bytes } = take();
      try {
        rotate();
        await writeAll(bytes);
        told = losses;
      } catch {
        flying = nothing;
        lost += lines;
        await sleep(retryMs);
      }
    }
    running = false;
  }

  process.once('exit', () => {
    try {
      // What is on its way may arrive as well: the last lines twice rather than not at all.
      const arrived = typeof target === 'string' ? Math.max(0, fstatSync(fd).size - written) : 0;
      writeSync(fd, Buffer.concat([flying.subarray(arrived), take().bytes]));
    } catch {
      // There is nobody left to tell.
    }
  });

  return {
    write(line) {
      if (length > maxWaiting) {
        lost++;
        return;
      }
      waiting.push(line);
      length += line.length;
      if (!running) void pump();
    },
    get lost() {
      return lost;
    },
  };
}

const noticeOf = (lines: number): string =>
  JSON.stringify({
    level: 'warn',
    time: new Date().toISOString(),
    lines,
    msg: 'lines of the log were lost before this',
  });
