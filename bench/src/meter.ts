import { readdir, readFile } from 'node:fs/promises';

/** CPU time that processes have used, and what that is a ping. Linux only: read from /proc. */

/** Kernel ticks a second in /proc/<pid>/stat: USER_HZ, 100 on every Linux that Node runs on. */
const microsPerTick = 10_000;

interface Stat {
  pid: number;
  parent: number;
  /** Its own and that of its children that have ended, in ticks. */
  ticks: number;
}

async function statOf(pid: number): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined);
  if (text === undefined) return undefined;
  // The second field, the program's name, is in brackets and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // proc(5): 4 is the parent; 14 to 17 are utime, stime, cutime and cstime. `fields` begins with the third.
  const ticks = [14, 15, 16, 17].reduce((sum, field) => sum + Number(fields[field - 3]), 0);
  return { pid, parent: Number(fields[1]), ticks };
}

/** CPU microseconds of a process and everything below it since they began; PostgreSQL is a tree of processes. */
export async function cpuMicros(root: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const stats = (await Promise.all(pids.map(statOf))).filter((stat) => stat !== undefined);
  const family = new Set([root]);
  // Parents may come after their children in the list: as often as there are generations.
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent } of stats) if (family.has(parent)) family.add(pid);
  }
  return stats.reduce((sum, { pid, ticks }) => (family.has(pid) ? sum + ticks : sum), 0) * microsPerTick;
}

/** The most memory that a process has had, in MiB (VmHWM: resident, shared pages included). */
export async function peakMemoryMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
}

/** Starts to measure some processes; the function it gives tells the CPU microseconds of each since then. */
export async function startMeter(pids: Record<string, number>): Promise<() => Promise<Record<string, number>>> {
  const names = Object.keys(pids);
  const read = () => Promise.all(names.map((name) => cpuMicros(pids[name]!)));
  const before = await read();
  return async () => {
    const after = await read();
    return Object.fromEntries(names.map((name, i) => [name, after[i]! - before[i]!]));
  };
}
