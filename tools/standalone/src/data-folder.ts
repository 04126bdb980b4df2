import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makePrivate, startOf } from '@worktide/backends';
import { AppError, type Lifecycle, sleep } from '@worktide/runtime';

/** What is made once for a data folder and never leaves it. */
export interface Secrets {
  internalToken: string;
  postgresPassword: string;
  clickhousePassword: string;
  /** Signs the links to pictures. */
  objectSigningSecret: string;
  /** Seals secrets of webhooks. */
  webhookSecretsKey: string;
}

export interface DataFolder {
  path: string;
  secrets: Secrets;
}

const ours = new Set([
  ...['postgres', 'clickhouse', 'log', 'objects', 'mail', 'secrets.json', 'secrets.json.new', 'owner'],
  ...['worktide.log', 'worktide.log.1'],
]);

/** Makes the folder, or closes what an earlier version has left open. @returns what others may still read. */
export const closeDataFolder = (folder: string): Promise<string[]> => makePrivate(folder, (name) => ours.has(name));

/**
 * Takes a data folder for this process alone and reads or makes its secrets.
 * @throws AppError `DATA_IN_USE` while another process has it and goes on, `DATA_UNUSABLE` where it cannot be written.
 */
export async function openDataFolder(folder: string, lifecycle: Lifecycle): Promise<DataFolder> {
  try {
    await take(folder, lifecycle);
    return { path: folder, secrets: await readSecrets(path.join(folder, 'secrets.json')) };
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('DATA_UNUSABLE', `The data folder ${folder} cannot be used.`, { cause: error });
  }
}

const ownerFile = (folder: string): string => path.join(folder, 'owner');

/** The process that has a data folder: an id alone may have gone to another program since, so its start goes with it. */
async function ownerOf(folder: string): Promise<number | undefined> {
  const [pid = '', started = ''] = (await readFile(ownerFile(folder), 'utf8').catch(() => '')).split(' ');
  return pid !== '' && startOf(Number(pid)) === started ? Number(pid) : undefined;
}

/**
 * Waits for an owner of the folder that is ending: one that was killed takes a while to give back its memory, one that
 * was told to stop to close what it has.
 * @throws AppError `DATA_IN_USE` where it goes on.
 */
export async function untilReleased(folder: string, { patienceMs = 5_000, signal }: Waiting = {}): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (let pid = await ownerOf(folder); pid !== undefined; pid = await ownerOf(folder)) {
    if (Date.now() > deadline) {
      throw new AppError('DATA_IN_USE', `The data folder ${folder} is in use by process ${pid}.`);
    }
    signal?.throwIfAborted();
    await sleep(50, signal);
  }
}

interface Waiting {
  patienceMs?: number;
  signal?: AbortSignal;
}

async function take(folder: string, lifecycle: Lifecycle): Promise<void> {
  const file = ownerFile(folder);
  const mine = `${process.pid} ${startOf(process.pid)}`;
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
    await untilReleased(folder, { signal: lifecycle.signal });
    await rm(file, { force: true });
  }
  throw new AppError('DATA_IN_USE', `The data folder ${folder} is being taken by another process.`);
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
    webhookSecretsKey: secret(),
    // A folder of an earlier version lacks the later ones.
    ...known,
  };
  if (Object.keys(known).length === Object.keys(secrets).length) return secrets;
  // By a rename: a kill between creation and the last byte must not leave half a file.
  await writeFile(`${file}.new`, JSON.stringify(secrets), { mode: 0o600 });
  await rename(`${file}.new`, file);
  return secrets;
}
