import type { Logger } from '@worktide/runtime';
import kafkajs, { type Kafka, type KafkaConfig, type LogEntry } from 'kafkajs';

/**
 * All options are spelled out: kafkajs's defaults differ under test (NODE_ENV) and wait up to 30 s between attempts.
 */
export function createKafka(
  brokers: string[],
  options: { clientId: string; log: Logger },
  retry: { retries: number; maxRetryTime: number },
  timeouts: { connectionTimeout: number; requestTimeout: number } = {
    connectionTimeout: 3_000,
    requestTimeout: 10_000,
  },
): Kafka {
  const config: KafkaConfig = {
    clientId: options.clientId,
    brokers,
    ...timeouts,
    retry: { initialRetryTime: 100, factor: 0.2, multiplier: 2, ...retry },
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => writeLog(options.log, entry),
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
