import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startClickHouse } from '@worktide/backends';
import { prepareClickHouse } from '@worktide/prepare';
import { silentLogger } from '@worktide/runtime';
import { analystsPage, analystsPath } from './analysts.ts';
import { root } from './tree.ts';

const dir = await mkdtemp(path.join(tmpdir(), 'worktide-analysts-'));
const server = await startClickHouse({ dir });
try {
  const url = await prepareClickHouse(server.url.replace(/\/default$/, '/worktide'), { log: silentLogger() });
  await writeFile(path.join(root, analystsPath), await analystsPage(url));
  process.stdout.write(`${analystsPath} is written\n`);
} finally {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
}
