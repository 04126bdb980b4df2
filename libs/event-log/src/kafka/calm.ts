import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';

const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;

/**
 * Keeps kafkajs 2.2.4 from looking for waiting requests a thousand times a second, on each connection and for ever: each
 * look sets a timer for the next one, and where nothing waits and no broker asked for a pause, the time that it computes is
 * before 1970, of which Node makes a millisecond, and a warning. Such a timer finds nothing: a request that comes later
 * sets one of its own.
 */
export function calmRequestQueue(): void {
  RequestQueue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0 || this.throttledUntil > Date.now()) schedule.call(this);
  };
}
