import { openKafka } from './kafka/open.ts';
import { parseKafkaUrl } from './kafka/url.ts';
import { openLmdb } from './lmdb/open.ts';
import type { EventLog, OpenOptions } from './types.ts';
import { badUrl, parametersOf, prefixOf } from './url.ts';

/**
 * Opens the log behind a URL; connects lazily, so that a broker that is away does not keep a service from starting.
 * - `kafka://host:port,host:port[?prefix=t1-]`
 * - `kafkas://[user:password@]host:port,host:port[?…]` with TLS; all of it at `parseKafkaUrl`
 * - `lmdb:/folder[?prefix=t1-]`, embedded; every opening of a folder within one process shares it.
 * `prefix` goes before every topic and group name, for several systems (or tests) on one log.
 * @throws AppError `BAD_CONFIGURATION` for any other URL; of the URL it repeats names of parameters only.
 */
export function openEventLog(url: string, options: OpenOptions): EventLog {
  if (/^kafkas?:\/\//.test(url)) return openKafka(parseKafkaUrl(url), options);
  const match = /^lmdb:([^?]+)(?:\?(.*))?$/.exec(url);
  const folder = match?.[1]?.replace(/\/$/, '');
  if (!folder) throw badUrl('expected kafka://host:port,…, kafkas://user:password@host:port,… or lmdb:/folder');
  return openLmdb(folder, prefixOf(parametersOf(match?.[2] ?? '', ['prefix'])), options);
}
