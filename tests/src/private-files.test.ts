import { chmod, lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus, until } from '@worktide/testing';
import { invite, makeAgentKey, type Person, ping, post, register, usageOf, yesterdayNoon } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';
import { settled, uploadScreenshot } from './support/screenshots.ts';

// Titles and addresses stand in the log's file, in parts of ClickHouse, in what PostgreSQL logs: nobody else reads them.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let umask: number;

beforeAll(async () => {
  // As most shells have it: files are for all to read, unless something is done about it.
  umask = process.umask(0o022);
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 120_000);
afterAll(async () => {
  process.umask(umask);
  await product?.process.stop();
  await folder?.remove();
});

interface Entry {
  path: string;
  mode: number;
  isFolder: boolean;
}

/** Everything in a folder, and the folder. What goes away meanwhile, as PostgreSQL's files do, is not there. */
async function walk(dir: string): Promise<Entry[]> {
  const found: Entry[] = [{ path: dir, mode: (await lstat(dir)).mode, isFolder: true }];
  for (const name of await readdir(dir)) {
    const each = path.join(dir, name);
    try {
      const stats = await lstat(each);
      if (stats.isDirectory()) found.push(...(await walk(each)));
      else if (!stats.isSymbolicLink()) found.push({ path: each, mode: stats.mode, isFolder: false });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return found;
}

/** What group or others may read or write. The data folder itself may be passed through, where PostgreSQL has to. */
async function openTo(dir: string): Promise<string[]> {
  const entries = await walk(dir);
  const isOpen = ({ path: file, mode }: Entry): boolean => (mode & (file === dir ? 0o066 : 0o077)) !== 0;
  return entries
    .filter(isOpen)
    .map(({ path: file, mode }) => `${path.relative(dir, file)} ${(mode & 0o777).toString(8)}`);
}

/** Pings as far as ClickHouse, a screenshot as far as its result, a mail. */
async function work(person: Person): Promise<void> {
  const { key } = await makeAgentKey(product.url, person);
  await post(product.url, key, ping('Firefox', { title: 'A secret', url: 'https://secret.example/' }));
  await until('an entry', async () => (await usageOf(product.url, person.accessToken)).length > 0);
  const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
  const report = `/api/v1/reports/apps?date=${date}&timezone=UTC`;
  await until('a report', async () => {
    const { items } = expectStatus(await call(product.url, 'get', report, { bearer: person.accessToken }), 200);
    return items.length > 0;
  });
  const id = await uploadScreenshot(product.url, key, 'linux');
  await until('a picture', () => settled(product.url, person.accessToken, id));
  await invite(product, person, 'employee');
}

test("everything in the data folder is its owner's alone", async () => {
  await work(await register(product.url));
  expect(await openTo(product.data)).toEqual([]);
  const files = (await walk(product.data)).filter(({ isFolder }) => !isFolder).map((entry) => entry.path);
  // It was there to be seen.
  const kinds = [/log\/.*data\.mdb$/, /clickhouse\/data\/.*\.bin$/, /postgres\/postgres\.log$/, /objects\/.*thumbnail/];
  for (const kind of [...kinds, /mail\/.*\.eml$/, /secrets\.json$/, /worktide\.log$/, /postgres\/data\/base\//]) {
    expect(files.filter((file) => kind.test(file))).not.toEqual([]);
  }
}, 120_000);

test('a folder that an earlier version has left open is closed at the start', async () => {
  await product.process.stop();
  for (const { path: file, mode, isFolder } of await walk(product.data)) {
    // PostgreSQL has always closed its own, and refuses to start on anything else.
    if (!file.includes('postgres/data')) await chmod(file, mode | (isFolder ? 0o055 : 0o044));
  }
  expect(await openTo(product.data)).not.toEqual([]);
  await product.process.restart();
  await work(await register(product.url));
  expect(await openTo(product.data)).toEqual([]);
}, 120_000);
