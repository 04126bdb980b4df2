import { createRequire } from 'node:module';
import { afterEach, expect, test } from '@jest/globals';
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';
import { calmRequestQueue } from './calm.ts';

const require = createRequire(import.meta.url);
/** As it is delivered, whatever was done to the one that others of this process have. */
function unmended(): typeof RequestQueue {
  const file = require.resolve('kafkajs/src/network/requestQueue/index.js');
  const { [file]: mended } = require.cache;
  delete require.cache[file];
  const fresh = require(file) as typeof RequestQueue;
  require.cache[file] = mended;
  return fresh;
}

const logger = { namespace: () => logger, debug() {}, error() {} };
const queues: RequestQueue[] = [];
function openQueue(Queue = RequestQueue): RequestQueue {
  const queue = new Queue({
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
  const before = openQueue(unmended());
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
