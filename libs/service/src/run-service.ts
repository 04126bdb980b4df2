import {
  createLogger,
  createMetrics,
  type HttpConfig,
  httpOptions,
  type Lifecycle,
  type Logger,
  loadConfig,
  type Metrics,
  openLogSink,
  runProcess,
  type Service,
  serve,
} from '@worktide/runtime';
import type { ZodObject } from 'zod';
import { reportErrors } from './sentry.ts';
import { traceWith } from './traces.ts';
import { validate } from './validate.ts';

/** What a service's `index.ts` exports. */
export interface RunnableService {
  serviceName: string;
  configSchema: ZodObject;
  // biome-ignore lint/suspicious/noExplicitAny: each service has a configuration of its own, read from its own schema here.
  run(config: any, deps: { lifecycle: Lifecycle; log: Logger; metrics: Metrics }): Promise<Service>;
}

const usage = (name: string): string => `${name}: node services/${name}/src/main.ts [--validate]
Configured by its environment: docs/reference.md. --validate starts nothing, but checks the configuration and reaches every engine.
Exit status: 0, 1 after a failure, 2 for other arguments, 78 for a bad configuration.
`;

/**
 * The process of a service, for its `main.ts`. Never returns: the process exits 0 after a signal, 1 after a failure, 78 for
 * a bad configuration.
 */
export async function runService({ serviceName, configSchema, run }: RunnableService): Promise<never> {
  const given = process.argv.slice(2);
  if (given.length > 0 && given.join() !== '--validate') {
    const isHelp = given.join() === '--help';
    process[isHelp ? 'stdout' : 'stderr'].write(usage(serviceName));
    process.exit(isHelp ? 0 : 2);
  }
  const { SENTRY_DSN: dsn, SENTRY_ENVIRONMENT: environment, SENTRY_RELEASE: release } = process.env;
  // Asked of the environment itself: what is wrong with the configuration is to be reported too.
  const errors =
    dsn && URL.canParse(dsn)
      ? await reportErrors(openLogSink(1), { dsn, service: serviceName, environment, release })
      : undefined;
  const log = createLogger({
    service: serviceName,
    level: process.env.LOG_LEVEL || 'info',
    ...(errors && { destination: errors }),
  });
  if (given.length > 0) {
    const say = (line: string): void => void process.stdout.write(`${line}\n`);
    process.exit(await validate(() => loadConfig(configSchema, process.env), { serviceName, say }));
  }
  return runProcess(log, async (lifecycle) => {
    if (errors) lifecycle.onClose('sentry', () => errors.flush(2_000));
    const config = loadConfig(configSchema, process.env);
    await traceWith(config as unknown as HttpConfig, { service: serviceName, lifecycle, log });
    const metrics = createMetrics({ processMetrics: true });
    const service = await run(config, { lifecycle, log, metrics });
    await serve({ services: [service], lifecycle, log, metrics, ...httpOptions(config as unknown as HttpConfig) });
  });
}
