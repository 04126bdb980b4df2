import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { ExportFormat } from '@worktide/schemas';
import type { Column, Row } from './columns.ts';
import { formats } from './formats.ts';
import { createLines } from './lines.ts';

/** What the thread is started with. */
export interface ThreadData {
  format: ExportFormat;
  columns: readonly Column[];
  name: string;
}

/** To the thread: rows as lines of JSON, that so many bytes of its output were used, or that there are no more rows. */
export type ToThread = { chunk: Uint8Array } | { used: number } | { end: true };

/** From the thread: a chunk was written, with how many rows there were until then; a part of the file; the end. */
export type FromThread = { rows: number } | { output: Uint8Array } | { done: true };

/** Output that is on its way and not used yet; beyond it writing waits. */
const maxUnused = 4_000_000;
/** Smaller parts go out together. */
const partBytes = 256_000;

const port = parentPort!;
const say = (message: FromThread, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

const given: ({ chunk: Uint8Array } | { end: true })[] = [];
let unused = 0;
const waiting: (() => void)[] = [];
port.on('message', (message: ToThread) => {
  if ('used' in message) unused -= message.used;
  else given.push(message);
  for (const go of waiting.splice(0)) go();
});
/** Until there is another message; several may wait for it. */
const more = (): Promise<void> => new Promise((resolve) => void waiting.push(resolve));

async function* batches(): AsyncGenerator<Row[]> {
  const lines = createLines();
  let rows = 0;
  for (;;) {
    const next = given.shift();
    if (!next) await more();
    else if ('end' in next) return;
    else {
      const batch = lines.add(next.chunk);
      if (batch.length > 0) yield batch;
      rows += batch.length;
      say({ rows });
    }
  }
}

let held: Buffer[] = [];
let heldBytes = 0;
async function out(): Promise<void> {
  if (heldBytes === 0) return;
  const part = new Uint8Array(heldBytes);
  let at = 0;
  for (const piece of held) {
    part.set(piece, at);
    at += piece.length;
  }
  unused += heldBytes;
  [held, heldBytes] = [[], 0];
  say({ output: part }, [part.buffer]);
  while (unused > maxUnused) await more();
}

// On Linux this is the thread alone, and it gives way to what the rest of the process has to do; elsewhere it would be all of it.
if (process.platform === 'linux') setPriority(0, 10);
const { format, columns, name } = workerData as ThreadData;
for await (const piece of formats[format].write(batches(), columns, { name })) {
  held.push(piece);
  heldBytes += piece.length;
  if (heldBytes >= partBytes) await out();
}
await out();
say({ done: true });
port.close();
