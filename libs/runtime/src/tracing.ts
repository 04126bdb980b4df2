import { channel, tracingChannel } from 'node:diagnostics_channel';

/**
 * A piece of work that may be a span of a trace. Names and attributes say what kind of work it is, never whose or about what: no
 * address, name, title, URL, id or credential.
 */
export interface Work {
  /** One of few: with a route's pattern, not a path. What is known at the end may be said then, attributes too. */
  name: string;
  /** Only `server` begins a trace where there is none. */
  kind: 'server' | 'client' | 'producer' | 'consumer';
  attributes: Record<string, string | number>;
  /** What it goes on with, as it came from elsewhere: W3C's `traceparent`. What is not well-formed is none. */
  traceparent?: string | undefined;
  /** Of a batch: each key's. */
  traceparents?: ReadonlyMap<string, string>;
}

/** For the trace of what runs now; who listens answers in `traceparent`. */
export interface TraceQuestion {
  key: string | undefined;
  traceparent?: string | undefined;
}

/** Node's own way for libraries to tell of their work: while nobody listens it costs a look. `libs/service` listens. */
export const workChannel = tracingChannel<unknown, Work>('worktide:work');
export const traceChannel = channel('worktide:trace');

/** The name of the header that carries a trace, in HTTP and in records. */
export const traceHeader = 'traceparent';

/** Whether anybody listens. */
export const isTracing = (): boolean => workChannel.start.hasSubscribers;

/** Does work, and tells of it where somebody listens. Rejects as `fn`, which does not throw. */
export function traced<T>(work: () => Work, fn: () => Promise<T>): Promise<T> {
  return isTracing() ? workChannel.tracePromise(fn, work()) : fn();
}

/**
 * What whoever goes on with what runs now is to be given.
 * @param key of the record that follows: a batch may be of several traces.
 * @returns undefined outside of a trace that is kept.
 */
export function traceparentFor(key?: string): string | undefined {
  if (!traceChannel.hasSubscribers) return undefined;
  const question: TraceQuestion = { key };
  traceChannel.publish(question);
  return question.traceparent;
}
