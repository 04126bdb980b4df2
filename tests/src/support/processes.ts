import { spawn } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';

/** Ids of the processes that run on a data folder: it stands in their command line or they work in it. */
export async function processesOn(folder: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await allProcesses()) {
    const args = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (pid !== process.pid && (args.includes(folder) || cwd.startsWith(folder))) found.push(pid);
  }
  return found;
}

/** The process whose command line holds all of this. */
export async function findProcess(...texts: string[]): Promise<number | undefined> {
  for (const pid of await allProcesses()) {
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
    if (pid !== process.pid && texts.every((text) => args.includes(text))) return pid;
  }
  return undefined;
}

const allProcesses = async (): Promise<number[]> =>
  (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid) && pid > 0);

/** Resident memory in MB. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
}

/** A process and all below it; PostgreSQL's backends are sessions of their own, so that a process group is not enough. */
async function treeOf(root: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const pid of await allProcesses()) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/**
 * Stops a process and all below it with SIGSTOP while `work` runs: connections stay open and nothing answers, the
 * worst kind of outage. They go on afterwards, also when `work` fails.
 */
export async function suspended<T>(pid: number, work: () => Promise<T>): Promise<T> {
  const tree = await treeOf(pid);
  for (const each of tree) signal(each, 'SIGSTOP');
  try {
    return await work();
  } finally {
    for (const each of tree.reverse()) signal(each, 'SIGCONT');
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone in between.
  }
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** What it wrote, stdout and stderr. */
  output: string;
}

/** Runs a command to its end, or kills it at the deadline. */
export function runToEnd(
  command: string,
  args: string[],
  options: { env?: Record<string, string>; cwd?: string; input?: string; seconds?: number } = {},
): Promise<Ended> {
  const { env, cwd, input = '', seconds = 60 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, NODE_ENV: 'production', ...env },
      stdio: 'pipe',
      ...(cwd === undefined ? {} : { cwd }),
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString('utf8');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reject);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('close', (code, endSignal) => {
      clearTimeout(timer);
      resolve({ code, signal: endSignal, output });
    });
  });
}
