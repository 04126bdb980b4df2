import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const app = fileURLToPath(new URL('..', import.meta.url));
const parts = ['src', 'public', 'index.html', 'vite.config.ts', 'tsconfig.json', 'package.json'];

/** Where builds of this checkout are, one folder for each state of the sources. */
export const builtFolder = path.join(app, 'dist');

async function filesBelow(part: string): Promise<string[]> {
  const whole = path.join(app, part);
  const entries = await readdir(whole, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (!entries) return [whole];
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** The same for the same sources, wherever and whenever they were checked out. */
async function hashOfSources(): Promise<string> {
  const hash = createHash('sha256');
  const files = (await Promise.all(parts.map(filesBelow))).flat().sort();
  for (const file of files)
    hash
      .update(`${path.relative(app, file)}\0`)
      .update(await readFile(file))
      .update('\0');
  return hash.digest('hex').slice(0, 16);
}

/**
 * Builds the pages where the sources have changed since, which takes some seconds, and else does nothing. Safe beside others that do
 * the same: the first to end is taken.
 * @param signal ends it.
 * @returns the folder with `index.html`.
 * @throws Error with what Vite said.
 */
export async function buildDashboard(signal?: AbortSignal): Promise<string> {
  const folder = path.join(builtFolder, await hashOfSources());
  if (await isThere(folder)) return folder;
  await mkdir(builtFolder, { recursive: true });
  const unfinished = `${folder}.${process.pid}`;
  try {
    await runVite(unfinished, signal);
    await rename(unfinished, folder).catch(async (error: unknown) => {
      if (!(await isThere(folder))) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  await removeOlder(path.basename(folder));
  return folder;
}

const isThere = (folder: string): Promise<boolean> =>
  access(path.join(folder, 'index.html')).then(
    () => true,
    () => false,
  );

/** Of other states of the sources: a process that serves one has it in memory. */
async function removeOlder(present: string): Promise<void> {
  for (const name of await readdir(builtFolder)) {
    if (/^[0-9a-f]{16}$/.test(name) && name !== present)
      await rm(path.join(builtFolder, name), { recursive: true, force: true });
  }
}

/** In a process of its own, which takes with it what a bundler needs. */
async function runVite(outDir: string, signal: AbortSignal | undefined): Promise<void> {
  const vite = path.join(path.dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin', 'vite.js');
  const child = spawn(process.execPath, [vite, 'build', '--outDir', outDir, '--emptyOutDir', '--logLevel', 'warn'], {
    cwd: app,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_ENV: 'production' },
    ...(signal ? { signal } : {}),
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-20_000);
    });
  }
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`Vite could not build the dashboard (exit ${code}):\n${said.trim()}`));
    });
  });
}
