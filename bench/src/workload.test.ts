import { expect, test } from '@jest/globals';
import { checkPing, defaultPingLimits, pingEvent } from '@worktide/schemas';
import { createBodies, pingEventAt, yesterday } from './workload.ts';

test('bodies are pings that the gateway accepts, and become the very events of the fill', () => {
  const day = yesterday();
  const bodies = createBodies(day);
  const context = { nowMs: Date.now(), deviceId: 'bench', limits: defaultPingLimits };
  for (const [user, slot] of [
    [0, 0],
    [1_999, 8_620],
  ] as const) {
    const pings = JSON.parse(bodies(user, slot, 20)) as unknown[];
    const events = pings.map((ping) => checkPing(ping, context));
    expect(events).toEqual(Array.from({ length: 20 }, (_, i) => pingEventAt(day, user, slot + i)));
    for (const event of events) expect(pingEvent.safeParse(event).success).toBe(true);
  }
});
