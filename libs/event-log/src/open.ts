import { AppError } from '@worktide/runtime';
import { openKafka } from './kafka/open.ts';
import { openLmdb } from './lmdb/open.ts';
import type { EventLog, OpenOptions } from './types.ts';

/**
 * Opens the log behind a URL; connects lazily, so that a broker that is away does not keep a service from starting.
 * - `kafka://host:port,host:port[?prefix=t1-]`
 * - `lmdb:/folder[?prefix=t1-]`, embedded; every opening of a folder within one process shares it.
 * `prefix` goes before every topic and group name, for several systems (or tests) on one log.
 * @throws AppError `BAD_CONFIGURATION` for any other URL.
 */
export function openEventLog(url: string, options: OpenOptions): EventLog {
  const { scheme, target, prefix } = parseUrl(url);
  return scheme === 'kafka' ? openKafka(target.split(','), prefix, options) : openLmdb(target, prefix, options);
}

// Not `new URL`: it refuses a list of brokers.
function parseUrl(url: string): { scheme: 'kafka' | 'lmdb'; target: string; prefix: string } {
  const match = /^(?:(kafka):\/\/|(lmdb):)([^?]+)(?:\?(.*))?$/.exec(url);
  const query = new URLSearchParams(match?.[4] ?? '');
  const prefix = query.get('prefix') ?? '';
  const target = match?.[3]?.replace(/\/$/, '') ?? '';
  const unknown = [...query.keys()].filter((name) => name !== 'prefix');
  const problem =
    !match || target === ''
      ? 'expected kafka://host:port,… or lmdb:/folder'
      : match[1] && !target.split(',').every((broker) => /^(\[[^\]]+\]|[^:/]+):\d{1,5}$/.test(broker))
        ? 'a broker is host:port'
        : unknown.length > 0
          ? `unknown parameter ${unknown.join(', ')}`
          : !/^[A-Za-z0-9._-]{0,50}$/.test(prefix)
            ? 'prefix may hold letters, digits, dot, dash and underscore, 50 at most'
            : undefined;
  if (problem) throw new AppError('BAD_CONFIGURATION', `Bad configuration:\n  event log URL: ${problem}`);
  return { scheme: match![1] ? 'kafka' : 'lmdb', target, prefix };
}
