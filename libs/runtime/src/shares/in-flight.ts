import type { AppError } from '../errors.ts';

/** Bounds what one subject has in work at once. */
export interface InFlight {
  /**
   * One more for the subject.
   * @returns what ends it; calling it again does nothing.
   * @throws what `refusal` makes where it has too many.
   */
  enter(subject: string): () => void;
}

export function createInFlight(maxEach: number, refusal: () => AppError): InFlight {
  const counts = new Map<string, number>();
  return {
    enter(subject) {
      const count = counts.get(subject) ?? 0;
      if (count >= maxEach) throw refusal();
      counts.set(subject, count + 1);
      let left = false;
      return () => {
        if (left) return;
        left = true;
        const rest = counts.get(subject)! - 1;
        if (rest === 0) counts.delete(subject);
        else counts.set(subject, rest);
      };
    },
  };
}
