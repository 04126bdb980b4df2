import type { Random } from '../random.ts';

export interface Span {
  from: number;
  to: number;
}

/** One time entry of a person, and the way in which it comes about. All instants are epoch milliseconds. */
export interface EntryPlan extends Span {
  /**
   * `timer`: started, paused, gone on with and stopped, each at its instant. `offline`: handed over in a batch. `moving`:
   * handed over while it runs, then as it ended, then once more as it ran. `manual`: by hand.
   */
  way: 'timer' | 'offline' | 'moving' | 'manual';
  /** The agent's name of it: no other has it. */
  key: string;
  pauses: Span[];
  /** It is stopped in its last pause, whose end is that of the entry. */
  stopsPaused: boolean;
  description: string | null;
  /** Of an entry by hand: what is made of it afterwards. */
  edit: (Span & { description: string }) | 'delete' | undefined;
  /** How often a request or batch is sent, whatever is answered. */
  times: number;
}

/** Counts of one minute as a device sends them, in the order in which it does. */
export interface MinutePlan {
  minute: number;
  keyboardClicks: number;
  mouseMovements: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** No planned entry ends later than this before now: what runs at the end of a run begins after all of them. */
export const planEndsBeforeMs = 45 * minuteMs;

/** Times within [from, to) that are apart: pauses of an entry. */
function pausesOf({ from, to }: Span, random: Random): Span[] {
  const pauses: Span[] = [];
  let at = from;
  for (let left = random.int(0, 3); left > 0; left--) {
    const start = at + random.int(1, Math.floor((to - from) / 8));
    const end = start + random.int(1, Math.floor((to - from) / 8));
    if (end >= to) break;
    pauses.push({ from: start, to: end });
    at = end;
  }
  return pauses;
}

/** Another time within an entry's own. */
function shorter({ from, to }: Span, random: Random): Span {
  const third = Math.floor((to - from) / 3);
  const start = random.chance(0.5) ? from : from + random.int(1, third);
  return { from: start, to: random.chance(0.5) && start !== from ? to : to - random.int(1, third) };
}

/**
 * The entries of one person in order of time, disjoint, some touching; some days have more than nine hours of them.
 * @param now "now" of the simulated time.
 */
export function planEntries(options: { count: number; now: number; days: number; random: Random; ids: Random }) {
  const { count, now, random, ids } = options;
  const end = now - planEndsBeforeMs;
  const days = Math.min(options.days, 25);
  const plans: EntryPlan[] = [];
  let at = end - days * dayMs;
  const room = (days * dayMs) / Math.max(1, count);
  for (let i = 0; i < count; i++) {
    const isLong = random.chance(0.15);
    const wanted = isLong ? random.int(10, 13) * hourMs : random.int(10 * minuteMs, 3 * hourMs);
    const from = at + (random.chance(0.3) && i > 0 ? 0 : random.int(1, Math.ceil(room / 2)));
    const to = Math.min(end, from + Math.min(wanted + random.int(0, 999), Math.max(room, hourMs)));
    if (to - from < 5 * minuteMs) break;
    at = to;
    const way = random.pick(['timer', 'timer', 'offline', 'offline', 'moving', 'manual', 'manual'] as const);
    const pauses = way === 'timer' ? pausesOf({ from, to }, random) : [];
    const stopsPaused = pauses.length > 0 && random.chance(0.3);
    if (stopsPaused) pauses.at(-1)!.to = to;
    const kind = random.next();
    const edit = kind < 0.2 ? 'delete' : { ...shorter({ from, to }, random), description: `edited ${i}` };
    plans.push({
      from,
      to,
      way,
      key: ids.uuidv7(to),
      pauses,
      stopsPaused,
      description: random.chance(0.7) ? `Work ${i} – ünïcode ✓` : null,
      edit: way === 'manual' && kind < 0.7 ? edit : undefined,
      times: random.pick([1, 1, 2, 3]),
    });
  }
  return plans;
}

/** Minutes of one device, in uploads; many come again, with other counts. */
export function planMinutes(options: { count: number; now: number; days: number; random: Random }): MinutePlan[][] {
  const { count, now, days, random } = options;
  const minutes = Array.from(
    { length: count },
    () => Math.floor((now - random.int(0, days * dayMs)) / minuteMs) * minuteMs,
  );
  const said = minutes.flatMap((minute) =>
    Array.from({ length: random.int(1, 3) }, () => ({
      minute,
      keyboardClicks: random.int(0, 500),
      mouseMovements: random.int(0, 3_000),
    })),
  );
  const uploads: MinutePlan[][] = [];
  const all = random.shuffled([...said, ...said.slice(0, count)]);
  for (let from = 0; from < all.length; ) {
    const size = random.int(1, 20);
    uploads.push(all.slice(from, from + size));
    from += size;
  }
  return uploads;
}
