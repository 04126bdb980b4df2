import type { Client } from '@sentry/core';

/** Where lines of a log go. */
interface Sink {
  write(line: string): void;
}

export interface SentryOptions {
  /** `https://key@host/project`. */
  dsn: string;
  service: string;
  /** The version that runs. */
  release?: string | undefined;
  environment?: string | undefined;
}

export interface ErrorSink extends Sink {
  /** Resolves when what was reported has been sent, or after so many ms. */
  flush(ms: number): Promise<unknown>;
}

/** One fault in a loop is one fault. */
const sameAgainMs = 60_000;
const maxKinds = 1_000;
const requestMs = 5_000;

/**
 * A log's sink that reports lines of level `error` and `fatal` to Sentry as well: those are faults of ours, without bodies or credentials,
 * as the log has them. What is expected (4xx, an engine that is away) is no such line. The same fault is reported once a minute.
 *
 * Of Sentry's packages the core alone: what instruments a process belongs to tracing, and would change every module that it loads.
 */
export async function reportErrors(sink: Sink, options: SentryOptions): Promise<ErrorSink> {
  const client = await openClient(options);
  const reported = new Map<string, number>();

  function report(line: string): void {
    const { level, msg, err, service, requestId, path, time } = JSON.parse(line);
    const kind = `${err?.type} ${err?.code} ${msg}`;
    const now = performance.now();
    if (now - (reported.get(kind) ?? Number.NEGATIVE_INFINITY) < sameAgainMs) return;
    if (reported.size >= maxKinds) reported.clear();
    reported.set(kind, now);
    client.captureEvent({
      level,
      message: msg,
      timestamp: Date.parse(time) / 1_000,
      tags: { service, ...(err?.code && { code: err.code }), ...(requestId && { requestId }) },
      ...(path && { transaction: path }),
      ...(err && { exception: { values: [exceptionOf(client, err)] } }),
    });
  }

  return {
    write(line) {
      sink.write(line);
      if (!line.startsWith('{"level":"error"') && !line.startsWith('{"level":"fatal"')) return;
      try {
        report(line);
      } catch {
        // The line is in the log; its report must not end what it tells of.
      }
    },
    flush: async (ms) => client.flush(ms),
  };
}

async function openClient({ dsn, service, release, environment }: SentryOptions): Promise<Client> {
  const { createStackParser, createTransport } = await import('@sentry/core');
  const { nodeStackLineParser, ServerRuntimeClient } = await import('@sentry/core/server');
  const client = new ServerRuntimeClient({
    dsn,
    platform: 'node',
    runtime: { name: 'node', version: process.version },
    serverName: service,
    ...(release && { release }),
    ...(environment && { environment }),
    integrations: [],
    stackParser: createStackParser(nodeStackLineParser()),
    transport: (transport) =>
      createTransport(transport, async ({ body }) => {
        const response = await fetch(transport.url, {
          method: 'POST',
          body: body as string,
          headers: transport.headers ?? {},
          signal: AbortSignal.timeout(requestMs),
        });
        await response.body?.cancel();
        return {
          statusCode: response.status,
          headers: {
            'x-sentry-rate-limits': response.headers.get('x-sentry-rate-limits'),
            'retry-after': response.headers.get('retry-after'),
          },
        };
      }),
  });
  client.init();
  return client;
}

function exceptionOf(client: Client, { type, message, stack }: { type: string; message: string; stack?: string }) {
  const frames = stack ? client.getOptions().stackParser(stack) : [];
  return { type, value: message, ...(frames.length > 0 && { stacktrace: { frames } }) };
}
