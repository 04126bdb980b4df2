import { readFileSync, statSync } from 'node:fs';

/** The fields of proc(5)'s stat behind the name in brackets, which may itself hold brackets; undefined where there is none. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

const isDead = (fields: readonly string[]): boolean => ['Z', 'X', 'x'].includes(fields[0]!);

const hasProc = (): boolean => statSync('/proc/self/stat', { throwIfNoEntry: false }) !== undefined;

/**
 * What tells a living process from a later one of the same id; undefined where there is none. Its start in clock ticks
 * since boot, or `alive` where there is no /proc: then any process of that id counts.
 * One that has ended and that nobody has asked after (a zombie) does not live: without an init it stays for ever.
 */
export function startOf(pid: number): string | undefined {
  const fields = statFields(pid);
  if (fields) return isDead(fields) ? undefined : fields[19];
  if (hasProc()) return undefined;
  try {
    process.kill(pid, 0);
    return 'alive';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'alive' : undefined;
  }
}

/** Whether a process of this id lives (also one of another user's). */
export const isRunning = (pid: number): boolean => startOf(pid) !== undefined;

/** Whether a process of this id has ended and its parent has not asked after it. */
export function isZombie(pid: number): boolean {
  const fields = statFields(pid);
  return fields !== undefined && isDead(fields);
}
