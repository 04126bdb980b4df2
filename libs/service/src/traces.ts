import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname } from 'node:os';
import type { Link, Span, SpanContext } from '@opentelemetry/api';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import {
  AppError,
  describeError,
  type HttpConfig,
  type Lifecycle,
  type Logger,
  type TraceQuestion,
  traceChannel,
  type Work,
  workChannel,
} from '@worktide/runtime';

export interface TracesOptions {
  /** Of the collector, `http://collector:4318`. */
  endpoint: string;
  service: string;
  /** Of traces, 0 to 1; all unless said. */
  share?: number | undefined;
  log: Logger;
}

export interface Traces {
  /** Nothing more is listened to. Resolves when what waits has been sent, or after so many ms. */
  close(ms: number): Promise<void>;
}

/** Spans that wait; what comes while there are so many is dropped. About a kilobyte each. */
const maxWaiting = 4_096;
const sendEveryMs = 2_000;
const sendMs = 5_000;
const closeMs = 2_000;
/** Traces that one batch goes on with; those beyond are linked to by nobody. */
const maxTraces = 32;

/** The spans of what runs now: of a batch one in each of its traces. */
interface Active {
  spans: readonly Span[];
  /** Which of them is that of a key's records. */
  byKey: ReadonlyMap<string, number>;
}

const wellFormed = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

function parse(traceparent: string | undefined): SpanContext | undefined {
  const parts = traceparent === undefined ? null : wellFormed.exec(traceparent);
  if (!parts) return undefined;
  return { traceId: parts[1]!, spanId: parts[2]!, traceFlags: Number.parseInt(parts[3]!, 16) & 1, isRemote: true };
}

function show({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/**
 * Sends what the process does to a collector, as spans, by OTLP over HTTP. The packages of OpenTelemetry are loaded here and nowhere
 * else. Of them no instrumentation: what is a span, and what is said in it, the libraries say themselves (`traced`), so that
 * nothing is in it that a module thought of by itself, and no module is changed.
 *
 * Which traces are kept is decided by their id alone, alike in all services; that a caller wants its own kept decides nothing.
 * A collector that is away costs what waits for it, and a line in the log.
 */
export async function openTraces({ endpoint, service, share = 1, log }: TracesOptions): Promise<Traces> {
  const api = await import('@opentelemetry/api');
  const { BatchSpanProcessor, TraceIdRatioBasedSampler, TracerProvider } = await import('@opentelemetry/sdk-trace');
  const { resourceFromAttributes } = await import('@opentelemetry/resources');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');

  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces`, timeoutMillis: sendMs });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'worktide',
      'service.name': service,
      'service.instance.id': `${hostname()}-${process.pid}`,
    }),
    sampler: new TraceIdRatioBasedSampler(share),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: sayingWhenAway(exporter, log),
        maxQueueSize: maxWaiting,
        scheduledDelayMillis: sendEveryMs,
        exportTimeoutMillis: sendMs,
      }),
    ],
  });
  const tracer = provider.getTracer('worktide');
  const kinds = {
    server: api.SpanKind.SERVER,
    client: api.SpanKind.CLIENT,
    producer: api.SpanKind.PRODUCER,
    consumer: api.SpanKind.CONSUMER,
  };
  const running = new AsyncLocalStorage<Active | undefined>();
  const begun = new WeakMap<Work, Active>();

  function begin({ name, kind, attributes }: Work, parent: SpanContext | undefined, links: Link[] = []): Span {
    const context = parent ? api.trace.setSpanContext(api.ROOT_CONTEXT, parent) : api.ROOT_CONTEXT;
    return tracer.startSpan(name, { kind: kinds[kind], attributes, links }, context);
  }

  function ofBatch(work: Work, traceparents: ReadonlyMap<string, string>): Active | undefined {
    const indexes = new Map<string, number>();
    const parents: SpanContext[] = [];
    const byKey = new Map<string, number>();
    for (const [key, traceparent] of traceparents) {
      const parent = parse(traceparent);
      if (!parent) continue;
      let index = indexes.get(traceparent);
      if (index === undefined && parents.length < maxTraces) {
        index = parents.push(parent) - 1;
        indexes.set(traceparent, index);
      }
      if (index !== undefined) byKey.set(key, index);
    }
    if (parents.length === 0) return undefined;
    // Of one another they know by links.
    const spans = parents.map((parent) =>
      begin(
        work,
        parent,
        parents.filter((other) => other !== parent).map((context) => ({ context })),
      ),
    );
    return { spans, byKey };
  }

  function activeOf(work: Work): Active | undefined {
    if (work.traceparents) return ofBatch(work, work.traceparents);
    const given = parse(work.traceparent);
    if (given || work.kind === 'server') return { spans: [begin(work, given)], byKey: new Map() };
    const around = running.getStore();
    // What was begun in a trace may outlive it.
    if (!around?.spans.some((span) => span.isRecording())) return undefined;
    return { spans: around.spans.map((span) => begin(work, span.spanContext())), byKey: around.byKey };
  }

  /** What is not kept is not gone on with: neither by spans within nor by others. */
  function start(work: Work): Active | undefined {
    const active = activeOf(work);
    if (!active?.spans.some((span) => span.isRecording())) return undefined;
    begun.set(work, active);
    return active;
  }

  function end(work: Work & { error?: unknown }): void {
    for (const span of begun.get(work)?.spans ?? []) {
      span.updateName(work.name);
      span.setAttributes(work.attributes);
      if (work.error !== undefined) {
        // The code alone: a message may hold what somebody sent.
        const { error } = work;
        span.setAttribute('error.type', error instanceof AppError ? error.code : 'INTERNAL');
        span.setStatus({ code: api.SpanStatusCode.ERROR });
      }
      span.end();
    }
    begun.delete(work);
  }

  function answer(question: unknown): void {
    const asked = question as TraceQuestion;
    const active = running.getStore();
    if (!active) return;
    const index = asked.key === undefined ? undefined : active.byKey.get(asked.key);
    // What follows from several traces together follows from none of them.
    const span = index === undefined && active.spans.length > 1 ? undefined : active.spans[index ?? 0];
    if (span?.isRecording()) asked.traceparent = show(span.spanContext());
  }

  const subscribers = { start() {}, end() {}, asyncStart() {}, asyncEnd: end, error() {} };
  workChannel.start.bindStore(running, start);
  workChannel.subscribe(subscribers);
  traceChannel.subscribe(answer);

  return {
    async close(ms) {
      workChannel.start.unbindStore(running);
      workChannel.unsubscribe(subscribers);
      traceChannel.unsubscribe(answer);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      });
      await Promise.race([provider.shutdown().catch(() => {}), late]).finally(() => clearTimeout(timer));
    },
  };
}

/** Opens them where the configuration says so, and closes them with the lifecycle. */
export async function traceWith(
  {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER_ARG: share,
  }: Pick<HttpConfig, 'OTEL_EXPORTER_OTLP_ENDPOINT' | 'OTEL_TRACES_SAMPLER_ARG'>,
  { service, lifecycle, log }: { service: string; lifecycle: Lifecycle; log: Logger },
): Promise<void> {
  if (endpoint === undefined) return;
  const traces = await openTraces({ endpoint, service, share, log });
  lifecycle.onClose('traces', () => traces.close(closeMs));
}

/** The exporter is silent about what it could not send. */
function sayingWhenAway(exporter: SpanExporter, log: Logger): SpanExporter {
  let away = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error !== undefined && !away) {
          log.warn({ err: result.error }, `traces are lost: ${describeError(result.error)}`);
        } else if (result.error === undefined && away) log.info('traces are sent again');
        away = result.error !== undefined;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush && { forceFlush: () => exporter.forceFlush!() }),
  };
}
