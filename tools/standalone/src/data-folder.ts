import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError, type Lifecycle } from '@worktide/runtime';

/** What is made once for a data folder and never leaves it. */
export interface Secrets {
  internalToken: string;
  postgresPassword: string;
  clickhousePassword: string;
  /** Signs the links to pictures. */
  objectSigningSecret: string;
}

export interface DataFolder {
  path: string;
  secrets: Secrets;
}

/**
 * Takes a data folder for this process alone and reads or makes its secrets (readable by the owner only).
 * @throws AppError `DATA_IN_USE` while another process has it, `DATA_UNUSABLE` where it cannot be written.
 */
export async function openDataFolder(folder: string, lifecycle: Lifecycle): Promise<DataFolder> {
  try {
    // Others may pass through (PostgreSQL runs as a user of its own where we are root) but not look around.
    await mkdir(folder, { recursive: true, mode: 0o711 });
    await take(path.join(folder, 'owner'), folder, lifecycle);
    return { path: folder, secrets: await readSecrets(path.join(folder, 'secrets.json')) };
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('DATA_UNUSABLE', `The data folder ${folder} cannot be used.`, { cause: error });
  }
}

/** The file names its owner by process id and start time: an id alone may have gone to another program since. */
async function take(file: string, folder: string, lifecycle: Lifecycle): Promise<void> {
  const mine = `${process.pid} ${await startTime(process.pid)}`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(file, 'wx', 0o600);
      await handle.writeFile(mine);
      await handle.close();
      lifecycle.onClose('data folder', () => rm(file, { force: true }));
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const [pid = '', started = ''] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
    if (pid !== '' && (await startTime(Number(pid))) === started) {
      throw new AppError('DATA_IN_USE', `The data folder ${folder} is in use by process ${pid}.`);
    }
    await rm(file, { force: true });
  }
  throw new AppError('DATA_IN_USE', `The data folder ${folder} is being taken by another process.`);
}

/** Field 22 of proc(5)'s stat, clock ticks since boot; empty where there is no such process (or no /proc: then any live id counts). */
async function startTime(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text !== undefined) return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  if (await stat('/proc/self').catch(() => undefined)) return '';
  try {
    process.kill(pid, 0);
    return 'alive';
  } catch {
    return '';
  }
}

async function readSecrets(file: string): Promise<Secrets> {
  const existing = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const known = existing === undefined ? {} : (JSON.parse(existing) as Partial<Secrets>);
  const secret = (): string => randomBytes(24).toString('hex');
  const secrets: Secrets = {
    internalToken: secret(),
    postgresPassword: secret(),
    clickhousePassword: secret(),
    objectSigningSecret: secret(),
    // A folder of an earlier version lacks the later ones.
    ...known,
  };
  if (Object.keys(known).length === Object.keys(secrets).length) return secrets;
  // By a rename: a kill between creation and the last byte must not leave half a file.
  await writeFile(`${file}.new`, JSON.stringify(secrets), { mode: 0o600 });
  await rename(`${file}.new`, file);
  return secrets;
}
