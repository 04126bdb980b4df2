import type { KafkaMessage } from 'kafkajs';
import type { StoredRecord } from '../types.ts';

const noHeaders: Record<string, string> = Object.freeze({});

/** What kafkajs fetched, as the library's own shape. */
export function toRecord(topic: string, partition: number, message: KafkaMessage): StoredRecord {
  return {
    topic,
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key === null ? '' : message.key.toString('utf8'),
    value: message.value ?? Buffer.alloc(0),
    headers: toHeaders(message.headers),
  };
}

function toHeaders(headers: KafkaMessage['headers']): Record<string, string> {
  let result: Record<string, string> | undefined;
  for (const name in headers) {
    const given = headers[name];
    const value = Array.isArray(given) ? given.at(-1) : given;
    if (value === undefined) continue;
    result ??= {};
    result[name] = value.toString('utf8');
  }
  return result ?? noHeaders;
}
