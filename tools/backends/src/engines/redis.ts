import type { Certificate } from '../certificates.ts';
import { aptInstall, onPath } from '../command.ts';
import { type Engine, startEngine } from '../engine.ts';
import { freePort } from '../ports.ts';

/** `redis-server` of this machine, installed if it can be. */
export async function prepareRedis(): Promise<string> {
  const present = await onPath('redis-server');
  if (present) return present;
  await aptInstall(['redis-server'], 'Redis');
  return 'redis-server';
}

export interface RedisOptions {
  /** Data and log of this server; an existing one is continued. */
  dir: string;
  port?: number;
  /** Takes connections with TLS only. */
  certificate?: Certificate;
  /** More settings, e.g. `['--requirepass', 'secret']`. */
  settings?: string[];
}

/** A real Redis on loopback; `url` is `redis://127.0.0.1:<port>`, or `rediss://localhost:<port>`. */
export async function startRedis(options: RedisOptions): Promise<Engine> {
  const { dir, certificate, settings = [] } = options;
  const port = options.port ?? (await freePort());
  const command = await prepareRedis();
  const listen = certificate
    ? [
        '--port',
        '0',
        '--tls-port',
        String(port),
        '--tls-cert-file',
        certificate.cert,
        '--tls-key-file',
        certificate.key,
      ]
    : ['--port', String(port)];
  const given = [...listen, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes'];
  return startEngine({
    name: 'redis',
    url: certificate ? `rediss://localhost:${port}` : `redis://127.0.0.1:${port}`,
    command,
    args: [...given, ...(certificate ? ['--tls-auth-clients', 'no'] : []), ...settings, '--daemonize', 'no'],
    dir,
    ready: (log) => log.includes('Ready to accept connections'),
  });
}
