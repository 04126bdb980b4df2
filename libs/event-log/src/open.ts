import { openKafka } from './kafka/open.ts';
import { parseKafkaUrl } from './kafka/url.ts';
import { openLmdb } from './lmdb/open.ts';
import type { EventLog, OpenOptions } from './types.ts';
import { badUrl, parametersOf, prefixOf } from './url.ts';

/**
 * Opens the log behind a URL; connects lazily, so that a broker that is away does not keep a service from starting.
 * - `kafka://host:port,host:port[?prefix=t1-]`
 * - `kafkas://[user:password@]host:port,host:port[?…]` with TLS; all of it at `parseKafkaUrl`
 * - `lmdb:/folder[?prefix=t1-][&reserveBytes=N]`, embedded; every opening of a folder within one process shares it.
 *   While less than N bytes of its disk are free it takes nothing (503 `STORAGE_FULL`) and its consumers wait.
 * `prefix` goes before every topic and group name, for several systems (or tests) on one log.
 * @throws AppError `BAD_CONFIGURATION` for any other URL; of the URL it repeats names of parameters only.
 */
export function openEventLog(url: string, options: OpenOptions): EventLog {
  if (/^kafkas?:\/\//.test(url)) return openKafka(parseKafkaUrl(url), options);
  const match = /^lmdb:([^?]+)(?:\?(.*))?$/.exec(url);
  const folder = match?.[1]?.replace(/\/$/, '');
  if (!folder) throw badUrl('expected kafka://host:port,…, kafkas://user:password@host:port,… or lmdb:/folder');
  const parameters = parametersOf(match?.[2] ?? '', ['prefix', 'reserveBytes']);
  const reserveBytes = parameters.get('reserveBytes') ?? '0';
  if (!/^\d{1,15}$/.test(reserveBytes)) throw badUrl('reserveBytes is a number of bytes');
  return openLmdb(folder, prefixOf(parameters), Number(reserveBytes), options);
}
