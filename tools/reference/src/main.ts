import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pagePath, renderReference } from './page.ts';
import { root } from './tree.ts';

await writeFile(path.join(root, pagePath), await renderReference());
process.stdout.write(`${pagePath} is written\n`);
