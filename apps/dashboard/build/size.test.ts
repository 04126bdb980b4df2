import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { buildDashboard } from './build.ts';

interface Chunk {
  file: string;
  imports?: string[];
  isEntry?: boolean;
}

/** The promise of what a first visit costs; what is fetched after log-in, or with another view, comes on its own. */
const mostBytes = 200_000;

test('a first load is 200 kB of script at most, gzipped: the frame, and with it the door or the day', async () => {
  const folder = await buildDashboard();
  const manifest = JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')) as Record<string, Chunk>;
  const filesOf = (name: string, found = new Set<string>()): Set<string> => {
    if (found.has(name)) return found;
    found.add(name);
    for (const one of manifest[name]!.imports ?? []) filesOf(one, found);
    return found;
  };
  const entry = Object.keys(manifest).find((name) => manifest[name]!.isEntry)!;
  for (const view of ['src/views/door.tsx', 'src/views/today.tsx']) {
    const files = new Set([...filesOf(entry), ...filesOf(view)].map((name) => manifest[name]!.file));
    expect(files.size).toBeGreaterThan(2);
    let bytes = 0;
    for (const file of files) bytes += gzipSync(await readFile(path.join(folder, file)), { level: 9 }).length;
    expect(`${view}: ${bytes > mostBytes ? `${bytes} bytes` : 'small enough'}`).toBe(`${view}: small enough`);
  }
}, 60_000);
