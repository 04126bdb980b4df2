import { readdir, readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '@worktide/runtime';
import { sleep } from '@worktide/runtime';

/**
 * Ends engines of this data folder that outlived an owner that was killed together with its guards. They are known by
 * the folder in their command line. Only where there is /proc; elsewhere the guards alone do this.
 */
export async function endLeftovers(folder: string, log: Logger): Promise<void> {
  // As root PostgreSQL's data may live elsewhere, behind a link.
  const named = ['postgres', 'clickhouse'].map((engine) => path.join(folder, engine, 'data'));
  const real = await Promise.all(named.map((data) => realpath(data).catch(() => data)));
  const dataFolders = new Set([...named, ...real]);
  const deadline = Date.now() + 10_000;
  for (let round = 0; Date.now() < deadline; round++) {
    const left = await enginesWith(dataFolders);
    if (left.length === 0) return;
    if (round === 0) log.warn({ pids: left }, 'ending engines left behind by a killed run');
    // SIGQUIT is PostgreSQL's immediate shutdown, which takes its children along.
    for (const pid of left) signal(pid, round < 20 ? 'SIGQUIT' : 'SIGKILL');
    await sleep(100);
  }
}

async function enginesWith(dataFolders: ReadonlySet<string>): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc').catch(() => [])) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (args.some((arg) => dataFolders.has(arg))) found.push(pid);
  }
  return found;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone in between.
  }
}
