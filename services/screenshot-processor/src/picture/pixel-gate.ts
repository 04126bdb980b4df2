/** Runs work side by side as long as the pixels (or bytes) in work stay below a bound; what comes later waits its turn. */
export interface PixelGate {
  /**
   * Work larger than the whole bound runs alone.
   * @param subject whose it is.
   */
  run<T>(subject: string, pixels: number, work: () => Promise<T>): Promise<T>;
}

interface Subject {
  /** Pixels in work, and works here at all. */
  running: number;
  works: number;
  /** Pixels that its works have had since it came, from the level of those who were served then. */
  spent: number;
}

interface Waiter {
  subject: Subject;
  pixels: number;
  start: () => void;
}

/**
 * Decoders of interlaced, progressive, WebP and AVIF files hold the whole picture, so memory follows the pixels in work and
 * not the number of pictures. Next is the subject that has had the fewest, so that large pictures of one keep another
 * waiting for one of them and not for all. Nothing passes whose turn it is: a large one does not wait for ever.
 * @param each what works of one subject side by side may have together, where it is more than one.
 */
export function createPixelGate(bound: number, each = Number.POSITIVE_INFINITY): PixelGate {
  const waiting: Waiter[] = [];
  const subjects = new Map<string, Subject>();
  let running = 0;
  /** What the one served last had had. */
  let level = 0;

  function next(): Waiter | undefined {
    let found: Waiter | undefined;
    const seen = new Set<Subject>();
    for (const waiter of waiting) {
      const { subject, pixels } = waiter;
      // Of each its first.
      if (seen.has(subject)) continue;
      seen.add(subject);
      if (subject.running > 0 && subject.running + pixels > each) continue;
      if (!found || subject.spent < found.subject.spent) found = waiter;
    }
    return found && (running === 0 || running + found.pixels <= bound) ? found : undefined;
  }

  function admit(): void {
    for (let waiter = next(); waiter; waiter = next()) {
      waiting.splice(waiting.indexOf(waiter), 1);
      const { subject, pixels } = waiter;
      level = Math.max(level, subject.spent);
      subject.spent += pixels;
      subject.running += pixels;
      running += pixels;
      waiter.start();
    }
  }

  return {
    async run(name, pixels, work) {
      const subject = subjects.get(name) ?? { running: 0, works: 0, spent: level };
      subjects.set(name, subject);
      subject.works++;
      await new Promise<void>((start) => {
        waiting.push({ subject, pixels, start });
        admit();
      });
      try {
        return await work();
      } finally {
        running -= pixels;
        subject.running -= pixels;
        if (--subject.works === 0) subjects.delete(name);
        admit();
      }
    },
  };
}
