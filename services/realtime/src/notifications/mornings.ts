import { localDate, localDays } from '@worktide/runtime';

/** What is due tomorrow, and what a digest holds, comes from this hour of the local day on: nobody is woken by it. */
const morningHour = 8;
const dayMs = 86_400_000;

/** A zone where it is morning, or later, and its days there. */
export interface Morning {
  zone: string;
  today: string;
  tomorrow: { date: string; start: number; end: number };
}

/** Of these zones those in which the day has begun for people; what is no zone is UTC. */
export function mornings(zones: readonly string[], now: number): Morning[] {
  return zones.flatMap((zone) => {
    const { known, today } = todayIn(zone, now);
    const after = new Date(Date.parse(today) + dayMs).toISOString().slice(0, 10);
    const [day, tomorrow] = localDays(today, after, known);
    return now >= day!.start + morningHour * 3_600_000 ? [{ zone, today, tomorrow: tomorrow! }] : [];
  });
}

function todayIn(zone: string, now: number): { known: string; today: string } {
  try {
    return { known: zone, today: localDate(now, zone) };
  } catch {
    return { known: 'UTC', today: localDate(now, 'UTC') };
  }
}
