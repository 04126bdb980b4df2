import type { WirePing } from './oracle/ledger.ts';
import { createRandom } from './random.ts';
import type { Shot } from './screenshots/shots.ts';

const display = { width: 1920, height: 1080 } as const;

/** What a person's screen shows during one ping. */
export const shotOf = (ping: WirePing, deviceId: string): Shot => {
  const capturedAt = Date.parse(ping.endedAt);
  return {
    screenshotId: createRandom('demo screenshot', deviceId, ping.endedAt).uuidv7(capturedAt),
    seed: `${deviceId} ${ping.endedAt}`,
    ...display,
    format: 'jpeg',
    capturedAt,
    // The organisation decides.
    blurLevel: undefined,
    metadata: { app: ping.app, resolution: `${display.width}x${display.height}`, displays: 1 },
    fieldsLast: false,
  };
};

/** A few of each of the last working days, spread over the day's active pings; oldest first. */
export function shotsOfHistory(
  history: readonly WirePing[],
  options: { deviceId: string; days: number; perDay: number },
) {
  const days = new Map<string, WirePing[]>();
  for (const ping of history) {
    if (ping.state === 'idle' || (ping.source ?? 'window') !== 'window') continue;
    const day = ping.endedAt.slice(0, 10);
    days.set(day, [...(days.get(day) ?? []), ping]);
  }
  return [...days.values()].slice(-options.days).flatMap((pings) => {
    const count = Math.min(options.perDay, pings.length);
    const chosen = Array.from({ length: count }, (_, i) => pings[Math.floor(((i + 0.5) * pings.length) / count)]!);
    return chosen.map((ping) => shotOf(ping, options.deviceId));
  });
}
