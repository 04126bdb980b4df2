import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from './chromium.ts';
import { dockerAnswers } from './containers.ts';
import { type BackendName, variableOf } from './names.ts';
import { preparations } from './native.ts';
import { type JestSummary, slowest, verdict } from './verdict.ts';

// `npm test`: everything that must hold before a change goes in, the engines fetched beforehand.
const root = fileURLToPath(new URL('../../..', import.meta.url));
const bin = (name: string): string => path.join(root, 'node_modules', '.bin', name);

/** Runs a program with our terminal and gives its exit status. */
const run = (command: string, args: string[]): Promise<number> =>
  new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
    child.once('error', (error) => {
      console.error(error.message);
      resolve(127);
    });
    child.once('exit', (code) => resolve(code ?? 1));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal));
  });

/** Downloads what the tests will ask for: within a test's own time a first download would be a timeout. */
async function fetchEngines(): Promise<void> {
  console.log(`chromium: ${await chromium()}`);
  if (await dockerAnswers()) return console.log('a Docker engine answers: containers are used');
  for (const [name, prepare] of Object.entries(preparations) as [BackendName, () => Promise<unknown>][]) {
    if (process.env[variableOf(name)]) console.log(`${name}: ${variableOf(name)} is set`);
    else console.log(`${name}: ${await prepare()}`);
  }
}

const heading = (text: string): void => console.log(`\n=== ${text} ===`);

async function check(name: string, act: () => Promise<number>): Promise<string[]> {
  heading(name);
  return (await act()) === 0 ? [] : [name];
}

async function jest(): Promise<JestSummary | undefined> {
  const folder = await mkdtemp(path.join(tmpdir(), 'worktide-check-'));
  const file = path.join(folder, 'jest.json');
  try {
    const program = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
    await run(process.execPath, [program, '--json', `--outputFile=${file}`, ...process.argv.slice(2)]);
    return JSON.parse(await readFile(file, 'utf8')) as JestSummary;
  } catch {
    // No summary: Jest itself did not get through, and has said why.
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const broken = [
  ...(await check('biome check', () => run(bin('biome'), ['check', '.']))),
  ...(await check('tsc', () => run(bin('tsc'), ['-p', 'tsconfig.json']))),
  ...(await check('tsc of the dashboard', () => run(bin('tsc'), ['-p', 'apps/dashboard/tsconfig.json']))),
  ...(await check('engines', () =>
    fetchEngines().then(
      () => 0,
      (error: unknown) => {
        console.error(error instanceof Error ? error.message : String(error));
        return 1;
      },
    ),
  )),
];
heading('jest');
const startedAt = performance.now();
const summary = await jest();
const { lines, ok } = verdict(broken, summary);
if (summary) {
  const minutes = (performance.now() - startedAt) / 60_000;
  heading(`the slowest of ${summary.testResults.length} files, ${minutes.toFixed(1)} minutes in all`);
  for (const line of slowest(summary, path.resolve(root))) console.log(line);
}
heading('result');
for (const line of lines) console.log(line);
process.exit(ok ? 0 : 1);
