import { afterEach, expect, test } from '@jest/globals';
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';
import { calmRequestQueue } from './calm.ts';

const logger = { namespace: () => logger, debug() {}, error() {} };
const queues: RequestQueue[] = [];
function openQueue(): RequestQueue {
  const queue = new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1_000,
    enforceRequestTimeout: false,
    clientId: 'test',
    broker: 'none:9092',
    logger,
    isConnected: () => true,
  });
  queues.push(queue);
  return queue;
}
afterEach(() => {
  for (const queue of queues.splice(0)) clearTimeout(queue.throttleCheckTimeoutId ?? undefined);
});

test('an idle connection sets no timer, one with a waiting request or a paused one does', () => {
  const before = openQueue();
  // What is mended is there: this is to fail when kafkajs mends it itself.
  before.scheduleCheckPendingRequests();
  const wasSet = before.throttleCheckTimeoutId !== null;

  calmRequestQueue();
  calmRequestQueue();
  const idle = openQueue();
  idle.scheduleCheckPendingRequests();
  expect([wasSet, idle.throttleCheckTimeoutId]).toEqual([true, null]);

  const waiting = openQueue();
  waiting.pending.push({});
  waiting.scheduleCheckPendingRequests();
  expect(waiting.throttleCheckTimeoutId).not.toBeNull();

  const paused = openQueue();
  paused.throttledUntil = Date.now() + 60_000;
  paused.scheduleCheckPendingRequests();
  expect(paused.throttleCheckTimeoutId).not.toBeNull();
});
