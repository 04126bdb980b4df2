/** What waits to be sent, by whose it is. */
export interface TurnQueue<E extends { bytes: number }> {
  push(subject: string, entry: E): void;
  /** The next ones, as many as fit into `maxBytes`; an entry that is larger than that never comes. */
  take(maxBytes: number): E[];
  /** Empties it and returns what was in it. */
  clear(): E[];
  readonly length: number;
}

interface Line<E> {
  entries: E[];
  /** Of `entries`, taken already. */
  taken: number;
  credit: number;
}

/** Bytes that a subject gets at each of its turns. */
const quantum = 64 * 1024;

/**
 * Where all that waits fits, it goes in the order in which it came. Where more waits, subjects take turns and get the same
 * bytes each, however much they have waiting; within a subject what came first goes first. (Deficit round robin: Shreedhar
 * and Varghese, 1995.)
 */
export function createTurnQueue<E extends { bytes: number }>(): TurnQueue<E> {
  /** In the order of their turns; none is empty. */
  let lines = new Map<string, Line<E>>();
  /** As they came; kept until turns are needed. */
  let arrived: { subject: string; entry: E }[] = [];
  let length = 0;
  let bytes = 0;

  /** What a line may send at its turn; false where it has more that does not fit any more. */
  function serve(line: Line<E>, into: E[], room: { bytes: number }): boolean {
    line.credit += quantum;
    for (; line.taken < line.entries.length; line.taken++) {
      const entry = line.entries[line.taken]!;
      if (entry.bytes > line.credit) return true;
      if (entry.bytes > room.bytes) {
        // It has not had its turn.
        line.credit -= quantum;
        return false;
      }
      line.credit -= entry.bytes;
      room.bytes -= entry.bytes;
      into.push(entry);
    }
    return true;
  }

  function stand({ subject, entry }: { subject: string; entry: E }): void {
    const line = lines.get(subject);
    if (line) line.entries.push(entry);
    else lines.set(subject, { entries: [entry], taken: 0, credit: 0 });
  }

  function clear(): E[] {
    const all = [...lines.values()].flatMap(({ entries, taken }) => entries.slice(taken));
    for (const { entry } of arrived) all.push(entry);
    lines = new Map();
    arrived = [];
    length = 0;
    bytes = 0;
    return all;
  }

  return {
    push(subject, entry) {
      arrived.push({ subject, entry });
      length++;
      bytes += entry.bytes;
    },
    take(maxBytes) {
      if (bytes <= maxBytes) return clear();
      for (const each of arrived) stand(each);
      arrived = [];
      const into: E[] = [];
      const room = { bytes: maxBytes };
      for (const [subject, line] of lines) {
        if (!serve(line, into, room)) break;
        lines.delete(subject);
        // Behind all others, where this loop meets it again.
        if (line.taken < line.entries.length) lines.set(subject, line);
      }
      length -= into.length;
      bytes -= maxBytes - room.bytes;
      return into;
    },
    clear,
    get length() {
      return length;
    },
  };
}
