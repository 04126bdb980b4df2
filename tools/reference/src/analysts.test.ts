import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { prepareClickHouse } from '@worktide/prepare';
import { silentLogger } from '@worktide/runtime';
import { analystsPage, analystsPath } from './analysts.ts';
import { root } from './tree.ts';

test('the page for analysts says what the views say', async () => {
  const database = await freshClickHouseDatabase();
  try {
    await prepareClickHouse(database.url, { log: silentLogger() });
    const page = await readFile(path.join(root, analystsPath), 'utf8');
    const made = await analystsPage(database.url);
    const missing = made.split('\n').filter((line) => !page.split('\n').includes(line));
    expect({ missing, remedy: 'npm run analysts' }).toEqual({ missing: [], remedy: 'npm run analysts' });
    expect(page).toBe(made);
  } finally {
    await database.drop();
  }
});
