import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeAuthority } from '@worktide/backends';
import { trustProblems } from './certificates.ts';

let dir: string;
let good: string;
let half: string;
let empty: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-trust-'));
  good = (await makeAuthority(path.join(dir, 'good'))).cert;
  half = path.join(dir, 'half.pem');
  empty = path.join(dir, 'empty.pem');
  const text = await readFile(good, 'utf8');
  await writeFile(half, text.replace(/^(-+BEGIN.*\n).*\n/, '$1'));
  await writeFile(empty, '# nothing\n');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const config = fileURLToPath(new URL('./config.ts', import.meta.url));
const zod = import.meta.resolve('zod');
const program = `
  import { z } from ${JSON.stringify(zod)};
  import { loadConfig } from ${JSON.stringify(config)};
  try {
    loadConfig(z.object({ PORT: z.coerce.number() }), process.env);
    console.log('taken');
  } catch (error) {
    console.log(error.code, error.message);
  }`;

/** What a process says that begins with this environment. */
const inProcess = (env: Record<string, string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const { NODE_EXTRA_CA_CERTS: _, NODE_TLS_REJECT_UNAUTHORIZED: __, ...rest } = process.env;
    const options = { env: { ...rest, PORT: '1', ...env } };
    execFile(process.execPath, ['--input-type=module', '-e', program], options, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });

test('a file that Node has taken is fine, and so is none', async () => {
  expect(await inProcess({ NODE_EXTRA_CA_CERTS: good })).toBe('taken\n');
  expect(await inProcess({})).toBe('taken\n');
});

test.each([
  ['is not there', () => ({ NODE_EXTRA_CA_CERTS: path.join(dir, 'none') }), /NODE_EXTRA_CA_CERTS: ENOENT/],
  ['holds half a certificate', () => ({ NODE_EXTRA_CA_CERTS: half }), /NODE_EXTRA_CA_CERTS: /],
  ['holds none', () => ({ NODE_EXTRA_CA_CERTS: empty }), /NODE_EXTRA_CA_CERTS: there is no certificate/],
])('a file that %s is told with all other problems', async (_what, env, problem) => {
  const said = await inProcess({ ...env(), PORT: 'x' });
  expect(said).toMatch(/^BAD_CONFIGURATION/);
  expect(said).toMatch(/PORT: /);
  expect(said).toMatch(problem);
});

test('a file that was named too late is told', () => {
  expect(trustProblems({ NODE_EXTRA_CA_CERTS: good })).toEqual([expect.stringContaining('when the process began')]);
});

test('to trust anybody is no configuration', async () => {
  expect(await inProcess({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toMatch(/NODE_TLS_REJECT_UNAUTHORIZED: 0 trusts/);
});
