import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { german } from './german.ts';

const sources = fileURLToPath(new URL('..', import.meta.url));
const places = (text: string): string[] => [...new Set([...text.matchAll(/\{(\w+)/g)].map(([, name]) => name!))].sort();

test('German has the places of English, and no text that no page says', async () => {
  const texts: string[] = [];
  for (const name of await readdir(sources, { recursive: true }))
    if (/\.tsx?$/.test(name) && !name.includes('german')) texts.push(await readFile(`${sources}/${name}`, 'utf8'));
  const whole = texts.join('\n');
  for (const [english, said] of Object.entries(german)) {
    expect({ english, places: places(said) }).toEqual({ english, places: places(english) });
    // That every text of a page is here is the compiler's to see.
    expect({ english, isSaid: whole.includes(`'${english}'`) }).toEqual({ english, isSaid: true });
  }
});
