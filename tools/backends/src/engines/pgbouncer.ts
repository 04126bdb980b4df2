import { chown, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { aptInstall, onPath } from '../command.ts';
import { type Engine, startEngine } from '../engine.ts';
import { freePort } from '../ports.ts';
import { serverUser } from './postgres-user.ts';

/** `pgbouncer` of this machine, installed if it can be. */
async function preparePgBouncer(): Promise<string> {
  const present = await onPath('pgbouncer');
  if (present) return present;
  await aptInstall(['pgbouncer'], 'PgBouncer');
  // Where it lies need not be on the PATH of who is not root.
  return (await onPath('pgbouncer')) ?? '/usr/sbin/pgbouncer';
}

export interface PgBouncerOptions {
  /** Its configuration and log; one of several servers is chosen by the name of the database. */
  dir: string;
  port?: number;
  /** By the name that clients ask for: a URL of a server and its database. */
  databases: Record<string, string>;
  /** Passwords by user, as the servers have them. */
  users: Record<string, string>;
  /** Connections to a server for each database and user. */
  poolSize: number;
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

/** A real PgBouncer on loopback in transaction mode; `url` is the place alone, without user and database. */
export async function startPgBouncer(options: PgBouncerOptions): Promise<Engine> {
  const { dir, databases, users, poolSize } = options;
  const port = options.port ?? (await freePort());
  const command = await preparePgBouncer();
  // As PostgreSQL it does not run as root.
  const user = await serverUser();
  await mkdir(dir, { recursive: true });
  const servers = Object.entries(databases).map(([name, given]) => {
    const url = new URL(given);
    return `${name} = host=${url.hostname} port=${url.port} dbname=${url.pathname.slice(1)}`;
  });
  const userFile = path.join(dir, 'users.txt');
  const configFile = path.join(dir, 'pgbouncer.ini');
  await writeFile(
    userFile,
    Object.entries(users)
      .map(([name, password]) => `${quoted(name)} ${quoted(password)}\n`)
      .join(''),
    { mode: 0o600 },
  );
  const settings = [
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = scram-sha-256',
    `auth_file = ${userFile}`,
    'pool_mode = transaction',
    `default_pool_size = ${poolSize}`,
    'max_client_conn = 500',
    // A server that is away is told of, and one that is back found, before callers have given up (docs/operating.md).
    'query_wait_timeout = 5',
    'server_login_retry = 1',
  ];
  await writeFile(configFile, ['[databases]', ...servers, '[pgbouncer]', ...settings, ''].join('\n'), { mode: 0o600 });
  if (user) for (const file of [dir, userFile, configFile]) await chown(file, user.uid, user.gid);
  return startEngine({
    name: 'pgbouncer',
    url: `postgres://127.0.0.1:${port}`,
    command,
    args: [configFile],
    dir,
    ...user,
    // At once, and not when the last client has gone.
    stopSignal: 'SIGTERM',
    ready: (log) => log.includes('process up'),
  });
}
