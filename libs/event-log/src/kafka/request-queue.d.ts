declare module 'kafkajs/src/network/requestQueue/index.js' {
  /** The part of kafkajs' class that `calmRequestQueue` knows. */
  export default class RequestQueue {
    constructor(options: Record<string, unknown>);
    pending: unknown[];
    /** Epoch milliseconds; -1 where the broker never asked for a pause. */
    throttledUntil: number;
    throttleCheckTimeoutId: NodeJS.Timeout | null;
    scheduleCheckPendingRequests(): void;
    destroy(): void;
  }
}
