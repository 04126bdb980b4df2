import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import { buildDashboard } from './build.ts';

// npm run dashboard:build [-- --to folder]: for the image, which has no sources of it.
const to = process.argv[2] === '--to' ? process.argv[3] : undefined;
const folder = await buildDashboard();
if (to !== undefined) {
  await rm(to, { recursive: true, force: true });
  await cp(folder, to, { recursive: true });
}
process.stdout.write(`${path.resolve(to ?? folder)}\n`);
