import { AppError, describeError } from '@worktide/runtime';
import type { Letter } from './dead-letters.ts';
import type { Senders } from './senders.ts';
import type { BatchContext, ConsumeOptions, DeadLetterReason, StoredRecord } from './types.ts';

export interface SettleOptions extends Pick<ConsumeOptions, 'handle' | 'split' | 'answers'> {
  senders: Senders;
  signal: AbortSignal;
  /** Whether there is no point in another attempt: the batch has gone to another member, or the consumer closes. */
  isOver: () => boolean;
  backoff: (attempt: number) => Promise<void>;
  onHandled: (seconds: number) => void;
  onFailure: (error: unknown, records: number, attempt: number) => void;
}

export interface Verdict {
  /** What can never succeed; everything else has been handled. */
  letters: Letter[];
  /** Senders all of whose records were handled. */
  good: Set<string>;
}

/**
 * What a failure says. `away`: nothing of the records, a dependency is not there. `overdue`: it is there, and did not
 * finish in time, which may be the records' fault. `fault`: something among the records cannot be handled.
 */
type Kind = 'away' | 'overdue' | 'fault';

async function kindOf(error: unknown, answers: ConsumeOptions['answers']): Promise<Kind> {
  const is503 = error instanceof AppError && error.statusCode === 503;
  const kind = !is503 ? 'fault' : error.code === 'DEPENDENCY_TIMEOUT' ? 'overdue' : 'away';
  if (!answers) return kind === 'overdue' ? 'away' : kind;
  if (kind === 'away') return kind;
  // An outage may show itself by an error that nobody has met before.
  try {
    await answers();
    return kind;
  } catch {
    return 'away';
  }
}

/** How often a part is tried before it is divided, or given up where it cannot be. */
const attempts = 3;

/**
 * Has a batch handled whatever is in it. While a dependency is away the same is tried again for ever. After any other
 * failure it is divided, by sender first, until what fails stands alone: that becomes a letter, the rest is handled.
 * @returns `over` where it was given up half done; `too many` where so many senders fail that the fault must be ours.
 */
export async function settle(records: StoredRecord[], options: SettleOptions): Promise<Verdict | 'over' | 'too many'> {
  const { senders, isOver, split } = options;
  const letters: Letter[] = [];
  const good = new Set<string>();
  const bad = new Set<string>();
  const todo = firstParts(records, senders);
  const whole = todo.at(-1);

  /** Handles a part; what it failed with when it is not to be tried again as it is. */
  async function attempt(part: StoredRecord[]): Promise<{ error: unknown; smaller: StoredRecord[][] } | undefined> {
    let refusals = 0;
    for (let n = 0; ; n++) {
      const said: Letter[] = [];
      const context: BatchContext = {
        signal: options.signal,
        deadLetter: (record, reason, value) =>
          void said.push(value === undefined ? { record, reason } : { record, reason, value }),
      };
      const started = performance.now();
      try {
        await options.handle(part, context);
        options.onHandled((performance.now() - started) / 1000);
        letters.push(...said);
        for (const { record } of said) bad.add(record.key);
        addSenders(good, part);
        return undefined;
      } catch (error) {
        if (isOver()) return { error, smaller: [] };
        options.onFailure(error, part.length, n);
        const took = performance.now() - started;
        const kind = await kindOf(error, options.answers);
        if (kind !== 'away') {
          const alone = senderOf(part);
          const suspect = alone !== undefined && senders.treatment(alone) !== 'together';
          if (alone !== undefined && (kind === 'fault' || suspect)) senders.failed(alone, took);
          const smaller = divide(part, split);
          const patient = smaller.length === 0 ? !suspect : kind === 'overdue' && part === whole;
          if (!patient || ++refusals >= attempts) return { error, smaller };
        }
        await options.backoff(n);
        if (isOver()) return { error, smaller: [] };
      }
    }
  }

  for (let part = todo.pop(); part; part = todo.pop()) {
    const record = part[0]!;
    const sender = senderOf(part);
    if (sender !== undefined && senders.treatment(sender) === 'unread') {
      for (const one of part) letters.push({ record: one, reason: setAside });
      continue;
    }
    const failure = await attempt(part);
    // With more to do, the end of the batch would come too late for whoever closes.
    if (isOver() && (failure || todo.length > 0)) return 'over';
    if (!failure) continue;
    if (failure.smaller.length > 0) {
      todo.push(...failure.smaller.reverse());
      continue;
    }
    letters.push({ record, reason: reasonOf(failure.error) });
    bad.add(record.key);
    senders.condemned(record.key);
    if (senders.tooMany(bad, good)) return 'too many';
  }
  if (bad.size > 0 && senders.tooMany(bad, good)) return 'too many';
  for (const { record } of letters) good.delete(record.key);
  return { letters, good };
}

const setAside: DeadLetterReason = {
  code: 'SENDER_SET_ASIDE',
  message: 'Not tried: too much of this sender could not be handled a moment ago.',
};

function reasonOf(error: unknown): DeadLetterReason {
  return { code: error instanceof AppError ? error.code : 'HANDLER_FAILED', message: describeError(error) };
}

/** A batch in one part, unless some of its senders are to be kept apart; the first to be done is the last. */
function firstParts(records: StoredRecord[], senders: Senders): StoredRecord[][] {
  if (records.every(({ key }) => senders.treatment(key) === 'together')) return [records];
  const parts = Map.groupBy(records, ({ key }) => (senders.treatment(key) === 'together' ? undefined : key));
  const together = parts.get(undefined);
  parts.delete(undefined);
  return [...parts.values(), ...(together ? [together] : [])];
}

/** Of a part that is all of one sender. */
const senderOf = (part: StoredRecord[]): string | undefined =>
  part.every(({ key }) => key === part[0]!.key) ? part[0]!.key : undefined;

/**
 * Two halves of a part, or the parts of a single record; none where it cannot be divided. A sender's records stay
 * together, and senders come in any order: how many of them fail is then a fair sample, whoever came first.
 */
function divide(part: StoredRecord[], split: ConsumeOptions['split']): StoredRecord[][] {
  if (part.length === 1) return (split?.(part[0]!) ?? []).map((record) => [record]);
  const ordered = shuffled([...Map.groupBy(part, ({ key }) => key).values()]).flat();
  const middle = part.length >> 1;
  return [ordered.slice(0, middle), ordered.slice(middle)];
}

function shuffled<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}

function addSenders(into: Set<string>, records: StoredRecord[]): void {
  let last: string | undefined;
  for (const { key } of records) {
    if (key !== last) into.add(key);
    last = key;
  }
}
