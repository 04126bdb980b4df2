import type { Logger } from '@worktide/runtime';
import kafkajs, { type ISocketFactory, type Kafka, type KafkaConfig, type LogEntry, type SASLOptions } from 'kafkajs';
import { calmRequestQueue } from './calm.ts';
import type { KafkaSecurity } from './url.ts';

/**
 * All options are spelled out: kafkajs's defaults differ under test (NODE_ENV) and wait up to 30 s between attempts.
 */
export function createKafka(
  brokers: KafkaConfig['brokers'],
  options: { clientId: string; log: Logger; security?: KafkaSecurity; onEntry?: (entry: LogEntry) => void },
  retry: { retries: number; maxRetryTime: number },
  timeouts: { connectionTimeout: number; requestTimeout: number; socketFactory?: ISocketFactory } = {
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
  },
): Kafka {
  calmRequestQueue();
  const { tls, sasl } = options.security ?? {};
  const config: KafkaConfig = {
    clientId: options.clientId,
    brokers,
    // Said, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment cannot turn it off.
    ...(tls ? { ssl: { ...tls, rejectUnauthorized: true } } : {}),
    // A copy: kafkajs writes into it.
    ...(sasl ? { sasl: { ...sasl } as SASLOptions } : {}),
    ...timeouts,
    retry: { initialRetryTime: 100, factor: 0.2, multiplier: 2, ...retry },
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => {
      options.onEntry?.(entry);
      writeLog(options.log, entry);
    },
  };
  return new kafkajs.Kafka(config);
}

/**
 * kafkajs calls every attempt that it repeats by itself an error and every join information. What matters to an
 * operator is logged where it surfaces, so all of it goes one level down.
 */
function writeLog(log: Logger, { namespace, level, log: entry }: LogEntry): void {
  const { message, timestamp: _, logger: __, stack: ___, ...fields } = entry;
  const text = `kafka ${namespace}: ${message}`;
  if (level <= kafkajs.logLevel.ERROR) log.warn(fields, text);
  else log.debug(fields, text);
}
