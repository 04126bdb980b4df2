import { chmod, chown, copyFile, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Certificate } from '../certificates.ts';
import { run } from '../command.ts';
import { accepts, type Engine, startEngine } from '../engine.ts';
import { freePort } from '../ports.ts';
import { isZombie } from '../processes.ts';
import { dataFolder, programsFor, type ServerUser, serverUser } from './postgres-user.ts';

export interface PostgresOptions {
  /** Data and log of this server; an existing one is continued. */
  dir: string;
  port?: number;
  /** Of the superuser `postgres`, for good once the data folder is there; `postgres` unless said. */
  password?: string;
  /** More `-c` settings, e.g. `['max_connections=50']`. */
  settings?: string[];
  /** Made as a copy of another server, which is restarted for it, and follows that one. */
  replicaOf?: { primary: Engine; dir: string };
  /** Takes connections with TLS too. */
  certificate?: Certificate;
  onUnexpectedEnd?: (how: string) => void;
  /** Ends the start. */
  signal?: AbortSignal;
}

/** By way of another name, so that an interrupted initdb is not taken for a database. */
async function initialise(bin: string, data: string, password: string, user: ServerUser | undefined): Promise<void> {
  const partial = `${data}.new`;
  const passwordFile = `${data}.password`;
  await rm(partial, { recursive: true, force: true });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user) await chown(passwordFile, user.uid, user.gid);
  const locale = ['--encoding=UTF8', '--locale=C.UTF-8'];
  const login = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  await run(path.join(bin, 'initdb'), ['-D', partial, ...locale, ...login], { cwd: path.dirname(data), ...user });
  await rm(passwordFile);
  await rename(partial, data);
}

/** Of a server that has ended in order, whose folder is whole by itself. */
async function copyOf(
  { primary, dir }: NonNullable<PostgresOptions['replicaOf']>,
  data: string,
  user: ServerUser | undefined,
): Promise<void> {
  await primary.stop();
  // With owners and modes.
  await run('cp', ['-a', await dataFolder(dir, user), data]);
  const signal = path.join(data, 'standby.signal');
  await writeFile(signal, '');
  if (user) await chown(signal, user.uid, user.gid);
  await primary.restart();
}

/** What `primary_conninfo` wants: a superuser may follow. */
function connectionTo(url: string): string {
  const { hostname, port, username, password } = new URL(url);
  return `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
}

/** Copies beside the data: the server takes a key only where it is its own user's and nobody else can read it. */
async function tlsSettings(certificate: Certificate, data: string, user: ServerUser | undefined): Promise<string[]> {
  const own = { cert: `${data}.cert`, key: `${data}.key` };
  for (const part of ['cert', 'key'] as const) {
    await copyFile(certificate[part], own[part]);
    await chmod(own[part], 0o600);
    if (user) await chown(own[part], user.uid, user.gid);
  }
  return ['ssl=on', `ssl_cert_file=${own.cert}`, `ssl_key_file=${own.key}`];
}

/** Past the largest id that Linux gives (PID_MAX_LIMIT). */
const nobody = 4_194_305;

/**
 * A server that was killed and that nobody has asked after keeps its id, and the next one would take it for running for
 * as long as that lasts. The rest of its file stays: by that the next one sees whether its children are still at work.
 */
async function nameNoZombie(data: string): Promise<void> {
  const file = path.join(data, 'postmaster.pid');
  const [pid = '', ...rest] = (await readFile(file, 'utf8').catch(() => '')).split('\n');
  if (isZombie(Number(pid))) await writeFile(file, [nobody, ...rest].join('\n'));
}

/** A real PostgreSQL 18 on loopback; `url` is the superuser's, database `postgres`. */
export async function startPostgres(options: PostgresOptions): Promise<Engine> {
  const { dir, password = 'postgres', settings = [], certificate, replicaOf } = options;
  const port = options.port ?? (await freePort());
  const user = await serverUser();
  const bin = await programsFor(user);
  const data = await dataFolder(dir, user);
  if (!(await stat(data).catch(() => undefined))) {
    await (replicaOf ? copyOf(replicaOf, data, user) : initialise(bin, data, password, user));
  }
  await nameNoZombie(data);
  const given = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    // Sockets would land in a folder that the server's user may not write to.
    'unix_socket_directories=',
    // Several test workers, each with the pools of several services.
    'max_connections=300',
    'shared_buffers=256MB',
    'max_wal_size=2GB',
    ...(replicaOf ? [`primary_conninfo=${connectionTo(replicaOf.primary.url)}`] : []),
    ...(certificate ? await tlsSettings(certificate, data, user) : []),
    ...settings,
  ];
  return startEngine({
    name: 'postgres',
    url: `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`,
    command: path.join(bin, 'postgres'),
    args: ['-D', data, ...given.flatMap((setting) => ['-c', setting])],
    dir,
    cwd: path.dirname(data),
    ...user,
    onUnexpectedEnd: options.onUnexpectedEnd,
    signal: options.signal,
    // SIGINT is PostgreSQL's fast shutdown: it ends sessions instead of waiting for them.
    stopSignal: 'SIGINT',
    ready: async (log) => /ready to accept (read-only )?connections/.test(log) && (await accepts(port)),
    // After kill -9 of the postmaster its children take a moment to notice.
    retryOn: /pre-existing shared memory block|lock file .* already exists/,
  });
}
