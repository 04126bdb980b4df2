import { chmod, lstat, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';

/** PostgreSQL runs as a user of its own where we are root, and has to pass through to its data: it may, but not look. */
const passable = (): number => (process.getuid?.() === 0 ? 0o711 : 0o700);

/** Read or written by others, or passed through. */
const open = 0o077;

/**
 * Makes a data folder that only its owner can read, or closes one that is there, with what is ours in it: the permissions
 * that an earlier version, or another umask, has left. A folder that is closed hides what is below it and is not looked
 * into, so this costs a look at each entry.
 * @param isOurs by name of an entry; nothing else is touched.
 * @returns what could not be closed.
 */
export async function makePrivate(folder: string, isOurs: (name: string) => boolean): Promise<string[]> {
  const made = await mkdir(folder, { recursive: true });
  // Those above it too, which did not exist either: the umask may have made them impassable.
  for (let dir = folder; made !== undefined && dir.startsWith(made); dir = path.dirname(dir))
    await chmod(dir, passable());
  const left: string[] = [];
  const { mode } = await lstat(folder);
  // What is sticky is everybody's on purpose, like /tmp.
  if (made === undefined && (mode & 0o1000) === 0 && (mode & open & ~passable()) !== 0) {
    await chmod(folder, mode & (0o700 | passable())).catch(() => left.push(folder));
  }
  for (const name of await readdir(folder)) if (isOurs(name)) await close(path.join(folder, name), left);
  return left;
}

/** What is in a folder first: once that is closed, nobody looks into it again. */
async function close(entry: string, left: string[]): Promise<void> {
  try {
    const stats = await lstat(entry);
    if (stats.isSymbolicLink() || (stats.mode & open) === 0) return;
    if (stats.isDirectory()) for (const name of await readdir(entry)) await close(path.join(entry, name), left);
    await chmod(entry, stats.mode & 0o700);
  } catch (error) {
    // What a process that is ending has removed meanwhile is closed.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') left.push(entry);
  }
}
