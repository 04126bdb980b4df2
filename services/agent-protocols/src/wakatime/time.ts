/** A length of time in all the ways in which this protocol shows one. */
export interface ShownTime {
  hours: number;
  minutes: number;
  seconds: number;
  digital: string;
  decimal: string;
  text: string;
  total_seconds: number;
}

const two = (n: number): string => String(n).padStart(2, '0');
const counted = (n: number, unit: string): string => `${n} ${unit}${n === 1 ? '' : 's'}`;

/** `2 hrs 17 mins`; seconds only where there is not a minute. */
function inWords(hours: number, minutes: number, seconds: number): string {
  if (hours > 0) return minutes > 0 ? `${counted(hours, 'hr')} ${counted(minutes, 'min')}` : counted(hours, 'hr');
  return minutes > 0 ? counted(minutes, 'min') : counted(seconds, 'sec');
}

export function shownTime(ms: number): ShownTime {
  const whole = Math.floor(ms / 1000);
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return {
    hours,
    minutes,
    seconds,
    digital: `${hours}:${two(minutes)}:${two(seconds)}`,
    decimal: ((hours * 60 + minutes) / 60).toFixed(2),
    text: inWords(hours, minutes, seconds),
    total_seconds: ms / 1000,
  };
}

/** Of a whole, in per cent with two decimals. */
export const percentOf = (ms: number, total: number): number =>
  total === 0 ? 0 : Math.round((ms / total) * 10_000) / 100;
