import { writeFile } from 'node:fs/promises';
import { typesOf } from './types.ts';

// npm run dashboard:types [-- http://127.0.0.1:8080]: of a product that runs.
const origin = process.argv[2] ?? 'http://127.0.0.1:8080';
const answer = await fetch(`${origin}/api/docs/openapi.json`);
if (!answer.ok) throw new Error(`${origin} answers ${answer.status}`);
await writeFile(new URL('../src/api/schema.d.ts', import.meta.url), await typesOf(await answer.json()));
