import type { DeadLetterLimit } from './types.ts';

/** What has become known of one sender within the window. */
interface Sender {
  since: number;
  letters: number;
  /** Times that something of this sender alone could not be handled, and how long that took. */
  failures: number;
  failedMs: number;
  unreadUntil: number;
  told: boolean;
}

/**
 * How a sender's records are treated: with everybody's; by themselves, so that a failure is theirs alone; or not at
 * all, because trying would cost everybody else too much.
 */
export type Treatment = 'together' | 'apart' | 'unread';

/** Whose records cannot be processed. A sender is a record's key, which the writer of the log chooses, not the sender. */
export interface Senders {
  treatment(sender: string): Treatment;
  /** Something of this sender alone was tried for so long and failed. */
  failed(sender: string, ms: number): void;
  /** Something of this sender alone can never be handled. */
  condemned(sender: string): void;
  /** Counts a dead letter. `within` says whether that is within the sender's limit, `first` that it is not for the first time. */
  letter(sender: string): { within: boolean; first: boolean };
  /** These senders' records were handled, all of them. */
  handled(senders: ReadonlySet<string>): void;
  /**
   * Whether so many have dead letters, and so few have none, that the fault must be ours.
   * @param bad senders with dead letters, and `good` those without, of a batch that does not count yet.
   */
  tooMany(bad: ReadonlySet<string>, good: ReadonlySet<string>): boolean;
  /** How many are over a limit at present. */
  readonly setAside: number;
}

/** A sender whose records took this long within a window, only to fail, is not tried again for as many windows. */
const maxFailedMs = 30_000;
const unreadWindows = 10;
/** Who had no dead letters is remembered for longer: at night few speak in a minute. */
const goodWindows = 10;
/** More of them say nothing more. */
const maxGood = 10_000;

export function createSenders(limit: DeadLetterLimit, now: () => number = performance.now.bind(performance)): Senders {
  const { count, senders, windowMs } = limit;
  const known = new Map<string, Sender>();
  /** Two generations: what was handled within the last `goodWindows` is in one of them. */
  let good = new Set<string>();
  let goodBefore = new Set<string>();
  let generation = now();

  function forget(): void {
    const time = now();
    for (const [name, sender] of known) {
      if (time - sender.since >= windowMs && time >= sender.unreadUntil) known.delete(name);
    }
    if (time - generation < goodWindows * windowMs) return;
    goodBefore = good;
    good = new Set();
    generation = time;
  }

  function of(name: string): Sender {
    forget();
    let sender = known.get(name);
    if (!sender) {
      sender = { since: now(), letters: 0, failures: 0, failedMs: 0, unreadUntil: 0, told: false };
      known.set(name, sender);
    }
    return sender;
  }

  function setAsideWhereOver(sender: Sender): void {
    if (sender.failures >= count || sender.failedMs >= maxFailedMs) {
      sender.unreadUntil = now() + unreadWindows * windowMs;
    }
  }

  return {
    treatment(name) {
      const sender = known.get(name);
      if (!sender) return 'together';
      if (now() < sender.unreadUntil) return 'unread';
      return sender.failures > 0 ? 'apart' : 'together';
    },
    failed(name, ms) {
      const sender = of(name);
      sender.failedMs += ms;
      setAsideWhereOver(sender);
    },
    condemned(name) {
      const sender = of(name);
      sender.failures++;
      setAsideWhereOver(sender);
    },
    letter(name) {
      const sender = of(name);
      const within = ++sender.letters <= count && now() >= sender.unreadUntil;
      const first = !within && !sender.told;
      if (first) sender.told = true;
      return { within, first };
    },
    handled(names) {
      if (good.size < maxGood) for (const name of names) good.add(name);
      forget();
    },
    tooMany(bad, alsoGood) {
      if (known.size + bad.size < senders) return false;
      forget();
      const before = [...known].filter(([, sender]) => sender.letters > 0).map(([name]) => name);
      const all = new Set([...bad, ...before]);
      if (all.size < senders) return false;
      const without = new Set([...alsoGood, ...good, ...goodBefore].filter((name) => !all.has(name)));
      return all.size >= without.size;
    },
    get setAside() {
      if (known.size === 0) return 0;
      forget();
      return [...known.values()].filter((sender) => sender.letters > count || now() < sender.unreadUntil).length;
    },
  };
}
