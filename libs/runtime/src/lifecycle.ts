import { AppError, describeError } from './errors.ts';
import { type EveryOptions, type Loop, type Pass, startLoop } from './every.ts';
import type { Logger } from './log.ts';
import { sleep } from './sleep.ts';

/** What a closer is told of the time it has. */
export interface Closing {
  /** Aborted when the time is over: what is let go of now ends in order, what is not is left behind. */
  signal: AbortSignal;
  /** How long that is, in ms. */
  budgetMs: number;
}

export interface CloserOptions {
  /** The part of what is left of the deadline that this one may use; a half unless said. */
  share?: number;
  /** Time on top of that, which the deadline does not count: a wait that is meant. */
  extraMs?: number;
}

/**
 * What was opened is closed in reverse order, also after a failed start, under one deadline.
 * The order of construction in a `run.ts` is therefore the whole description of the shutdown.
 */
export interface Lifecycle {
  /**
   * Registers a closer. Closers run last-in first-out, each within a part of what is left of the deadline: one that
   * throws is logged, one that hangs is left behind, and the next ones run all the same. One that is registered when
   * the closers run already runs at once.
   */
  onClose(name: string, close: (closing: Closing) => unknown | Promise<unknown>, options?: CloserOptions): void;
  /**
   * Does something again and again until its turn to close comes: then no further pass begins, and the present one is
   * waited for. A pass that fails is tried again; the first failure of a row is one line in the log, and so is its end.
   * @param name in log lines and of the closer.
   */
  every(name: string, options: EveryOptions, pass: Pass): Loop;
  /** Reports that a part which should have run for ever has ended: the process closes and exits 1. */
  fail(error: unknown): void;
  /** Aborted when closing begins: stop taking new work, and stop starting. */
  readonly signal: AbortSignal;
  /** Resolves with the first failure or when closing begins. */
  readonly ended: Promise<unknown>;
  /**
   * Runs the closers once; later calls get the same promise. Resolves true when all ended in their time.
   * @param starting a start that may be under way still: it is waited for first, for a part of the deadline.
   */
  close(starting?: Promise<unknown>): Promise<boolean>;
}

interface Closer extends Required<CloserOptions> {
  name: string;
  close: (closing: Closing) => unknown;
}

const leftBehind = Symbol('left behind');

/**
 * @param deadlineMs how long all closers together may take (default 15 s, below the 30 s that Kubernetes grants).
 * @param pause how `every` waits, for tests.
 */
export function createLifecycle(options: { log: Logger; deadlineMs?: number; pause?: typeof sleep }): Lifecycle {
  const { log, deadlineMs = 15_000, pause = sleep } = options;
  /** What each closer has, however late it comes, and what one has to end once its signal is aborted. */
  const leastMs = Math.min(200, deadlineMs / 10);
  const closers: Closer[] = [];
  const late = new Set<Promise<boolean>>();
  const aborter = new AbortController();
  let deadlineAt: number | undefined;
  let running = false;
  let closing: Promise<boolean> | undefined;
  let end: (reason: unknown) => void = () => {};
  const ended = new Promise<unknown>((resolve) => {
    end = resolve;
  });

  /** Whether it ended well and in time. */
  async function runCloser({ name, close, share, extraMs }: Closer): Promise<boolean> {
    const left = Math.max(0, (deadlineAt ?? 0) - performance.now() - extraMs);
    const budgetMs = Math.max(left * share, leastMs) + extraMs;
    const over = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const timeUp = new Promise<typeof leftBehind>((resolve) => {
      timer = setTimeout(() => {
        over.abort();
        timer = setTimeout(() => resolve(leftBehind), leastMs);
      }, budgetMs);
    });
    try {
      const work = Promise.resolve().then(() => close({ signal: over.signal, budgetMs }));
      if ((await Promise.race([work, timeUp])) !== leftBehind) return true;
      log.error({ closer: name, budgetMs: Math.round(budgetMs) }, 'closing took too long, leaving it behind');
    } catch (error) {
      log.error({ err: error, closer: name }, 'closing failed');
    } finally {
      clearTimeout(timer);
    }
    return false;
  }

  async function runClosers(starting: Promise<unknown> | undefined): Promise<boolean> {
    deadlineAt = performance.now() + deadlineMs;
    let clean = true;
    if (starting) {
      // How it ends is its caller's to tell; here it must only have ended, so that nothing is opened behind the closers.
      const close = () => starting.catch(() => {});
      clean = await runCloser({ name: 'start', close, share: 0.3, extraMs: 0 });
    }
    running = true;
    deadlineAt += closers.reduce((sum, { extraMs }) => sum + extraMs, 0);
    for (let next = closers.pop(); next; next = closers.pop()) clean = (await runCloser(next)) && clean;
    while (late.size > 0) clean = (await Promise.all(late)).every(Boolean) && clean;
    return clean;
  }

  const onClose: Lifecycle['onClose'] = (name, close, { share = 0.5, extraMs = 0 } = {}) => {
    const closer = { name, close, share, extraMs };
    if (!running) return void closers.push(closer);
    const ending = runCloser(closer).finally(() => late.delete(ending));
    late.add(ending);
  };

  return {
    onClose,
    every(name, options, pass) {
      const loop = startLoop(name, options, pass, { log, pause });
      onClose(name, async () => {
        const over = new AbortController();
        const { graceMs } = options;
        await Promise.race([loop.stop(), ...(graceMs === undefined ? [] : [pause(graceMs, over.signal)])]);
        over.abort();
      });
      return loop;
    },
    fail(error) {
      log.error({ err: error }, `stopping: ${describeError(error)}`);
      end(error ?? new AppError('INTERNAL', 'A part of the service ended.'));
    },
    signal: aborter.signal,
    ended,
    close(starting) {
      closing ??= Promise.resolve().then(() => runClosers(starting));
      aborter.abort(new AppError('STOPPING', 'The process is stopping.', { statusCode: 503 }));
      end(undefined);
      return closing;
    },
  };
}

/**
 * The body of every `main.ts`: builds the service, waits for the first signal or failure, closes, exits.
 * Exit codes: 0 after a signal, 1 after a failure, 78 (EX_CONFIG of sysexits.h) for a bad configuration.
 * Only the first signal acts; the deadline bounds the rest. One that comes during the start ends the start
 * (`lifecycle.signal`), and what was opened so far is closed.
 */
export async function runProcess(
  log: Logger,
  start: (lifecycle: Lifecycle) => Promise<unknown>,
  options: { deadlineMs?: number } = {},
): Promise<never> {
  const lifecycle = createLifecycle({ log, ...options });
  let starting: Promise<unknown> | undefined;
  let signalled = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (signalled) return;
      signalled = true;
      log.info({ signal: name }, 'stopping');
      void lifecycle.close(starting);
    });
  }
  process.on('uncaughtException', (error) => lifecycle.fail(error));
  process.on('unhandledRejection', (error) => lifecycle.fail(error));

  let failure: unknown;
  try {
    starting = start(lifecycle);
    // A start that hangs must not keep a signal or a failure waiting.
    failure = await Promise.race([starting.then(() => lifecycle.ended), lifecycle.ended]);
  } catch (error) {
    failure = signalled ? undefined : error;
    if (failure !== undefined) log.fatal({ err: failure }, `could not start: ${describeError(failure)}`);
  }
  const clean = await lifecycle.close(starting);
  log.info({ clean }, 'stopped');
  process.exit(failure instanceof AppError && failure.code === 'BAD_CONFIGURATION' ? 78 : failure || !clean ? 1 : 0);
}
