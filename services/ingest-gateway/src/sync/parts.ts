import type { RefusedSyncEntry, SyncEntryEvent } from '@worktide/schemas';
import { maxRecordBytes } from '../items/records.ts';

/** What surrounds the entries of a record, with room to spare. */
const envelopeBytes = 2_048;

/** What was judged of a batch, cut into what fits into one record each; kept as text, not as objects. */
export interface Parts {
  add(entry: SyncEntryEvent): void;
  refuse(refused: RefusedSyncEntry): void;
  /** Bytes that it keeps. */
  readonly bytes: number;
  /** `{"refused": […], "entries": […]}` of each record; the last one also where nothing is in it, if it is the only one. */
  finish(): Buffer[];
}

export function createParts(): Parts {
  const done: Buffer[] = [];
  let doneBytes = 0;
  let entries: string[] = [];
  let refused: string[] = [];
  let bytes = 0;

  function close(): void {
    const part = Buffer.from(`{"refused":[${refused.join(',')}],"entries":[${entries.join(',')}]}`);
    done.push(part);
    doneBytes += part.length;
    entries = [];
    refused = [];
    bytes = 0;
  }

  function put(list: 'entries' | 'refused', item: object): void {
    const text = JSON.stringify(item);
    const more = Buffer.byteLength(text) + 1;
    if (bytes > 0 && bytes + more > maxRecordBytes - envelopeBytes) close();
    (list === 'entries' ? entries : refused).push(text);
    bytes += more;
  }

  return {
    add: (entry) => put('entries', entry),
    refuse: (one) => put('refused', one),
    get bytes() {
      return doneBytes + bytes;
    },
    finish() {
      if (bytes > 0 || done.length === 0) close();
      return done;
    },
  };
}
