import { spawn } from 'node:child_process';
import { access, constants, readFile } from 'node:fs/promises';
import path from 'node:path';

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  uid?: number;
  gid?: number;
}

/**
 * Runs a command to its end and gives what it wrote to stdout and stderr, joined.
 * @throws Error with the end of that text when it exits with anything but 0.
 */
export function run(command: string, args: string[], options: CommandOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const { env, ...rest } = options;
    const child = spawn(command, args, { ...rest, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    // Bounded: Maven and apt talk a lot, only the end says what went wrong.
    const collect = (chunk: Buffer) => {
      text = (text + chunk.toString('utf8')).slice(-64_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`, { cause: error })));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}:\n${text.slice(-3_000)}`));
    });
  });
}

/** The full path of a program on PATH. */
export async function onPath(program: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, program);
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return file;
  }
  return undefined;
}

/**
 * Installs Debian packages, where that is possible: as root, on a system with apt.
 * @throws Error that tells the reader what to install by hand where it is not.
 */
export async function aptInstall(packages: string[], purpose: string): Promise<void> {
  const debian = /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(await readFile('/etc/os-release', 'utf8').catch(() => ''));
  if (process.getuid?.() !== 0 || !debian || !(await onPath('apt-get'))) {
    throw new Error(
      `${purpose} needs ${packages.join(', ')}: install it (on Debian as root this happens by itself), ` +
        'start a Docker engine, or name a running engine in the environment (see tools/backends/README.md).',
    );
  }
  const env = {
    DEBIAN_FRONTEND: 'noninteractive',
    // invoke-rc.d starts no service in run level 1: the tests start their own, on their own ports.
    RUNLEVEL: '1',
  };
  const wait = ['-o', 'DPkg::Lock::Timeout=300'];
  // The system is everybody's, whatever our own files are.
  const apt = (...args: string[]) =>
    run('/bin/sh', ['-c', 'umask 022; exec apt-get "$@"', 'apt-get', ...args], { env });
  await apt('update', '-q', ...wait);
  await apt('install', '-q', '-y', '--no-install-recommends', ...wait, ...packages);
}
