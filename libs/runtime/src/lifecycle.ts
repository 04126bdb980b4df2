import { AppError, describeError } from './errors.ts';
import type { Logger } from './log.ts';

/**
 * What was opened is closed in reverse order, also after a failed start, under one deadline.
 * The order of construction in a `run.ts` is therefore the whole description of the shutdown.
 */
export interface Lifecycle {
  /** Registers a closer. Closers run last-in first-out; one that throws is logged and does not stop the others. */
  onClose(name: string, close: () => unknown | Promise<unknown>): void;
  /** Reports that a part which should have run for ever has ended: the process closes and exits 1. */
  fail(error: unknown): void;
  /** Aborted when closing begins: stop taking new work. */
  readonly signal: AbortSignal;
  /** Resolves with the first failure or when closing begins. */
  readonly ended: Promise<unknown>;
  /** Runs the closers once; later calls get the same promise. Resolves true when all ended within the deadline. */
  close(): Promise<boolean>;
}

/**
 * @param deadlineMs how long all closers together may take (default 15 s, below the 30 s that Kubernetes grants).
 */
export function createLifecycle(options: { log: Logger; deadlineMs?: number }): Lifecycle {
  const { log, deadlineMs = 15_000 } = options;
  const closers: { name: string; close: () => unknown }[] = [];
  const aborter = new AbortController();
  let closing: Promise<boolean> | undefined;
  let end: (reason: unknown) => void = () => {};
  const ended = new Promise<unknown>((resolve) => {
    end = resolve;
  });

  async function runClosers(): Promise<boolean> {
    const expired = Symbol('expired');
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<typeof expired>((resolve) => {
      timer = setTimeout(() => resolve(expired), deadlineMs);
    });
    let clean = true;
    for (let next = closers.pop(); next; next = closers.pop()) {
      const { name, close } = next;
      try {
        const outcome = await Promise.race([Promise.resolve().then(close), deadline]);
        if (outcome === expired) {
          log.error({ closer: name, deadlineMs }, 'shutdown deadline passed, leaving the rest');
          return false;
        }
      } catch (error) {
        clean = false;
        log.error({ err: error, closer: name }, 'closing failed');
      }
    }
    clearTimeout(timer);
    return clean;
  }

  return {
    onClose: (name, close) => void closers.push({ name, close }),
    fail(error) {
      log.error({ err: error }, `stopping: ${describeError(error)}`);
      end(error ?? new AppError('INTERNAL', 'A part of the service ended.'));
    },
    signal: aborter.signal,
    ended,
    close() {
      closing ??= (() => {
        aborter.abort();
        end(undefined);
        return runClosers();
      })();
      return closing;
    },
  };
}

/**
 * The body of every `main.ts`: builds the service, waits for the first signal or failure, closes, exits.
 * Exit codes: 0 after a signal, 1 after a failure, 78 (EX_CONFIG of sysexits.h) for a bad configuration.
 * Only the first signal acts; the deadline bounds the rest.
 */
export async function runProcess(
  log: Logger,
  start: (lifecycle: Lifecycle) => Promise<unknown>,
  options: { deadlineMs?: number } = {},
): Promise<never> {
  const lifecycle = createLifecycle({ log, ...options });
  let signalled = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (signalled) return;
      signalled = true;
      log.info({ signal: name }, 'stopping');
      void lifecycle.close();
    });
  }
  process.on('uncaughtException', (error) => lifecycle.fail(error));
  process.on('unhandledRejection', (error) => lifecycle.fail(error));

  let failure: unknown;
  try {
    await start(lifecycle);
    failure = await lifecycle.ended;
  } catch (error) {
    failure = signalled ? undefined : error;
    if (failure !== undefined) log.fatal({ err: failure }, `could not start: ${describeError(failure)}`);
  }
  const clean = await lifecycle.close();
  log.info({ clean }, 'stopped');
  process.exit(failure instanceof AppError && failure.code === 'BAD_CONFIGURATION' ? 78 : failure || !clean ? 1 : 0);
}
