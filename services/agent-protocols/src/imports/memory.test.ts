import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { database as serviceDatabase } from '../database.ts';
import { formOf } from './testing.ts';

/** `IMPORT_TEST_BYTES=1000000000 IMPORT_TEST_TITLE=80` tries what is promised, and events as they are; some minutes. */
const bytes = Number(process.env.IMPORT_TEST_BYTES ?? 100_000_000);
const maxResidentKiB = 300 * 1024;

let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  database = await freshServiceDatabase(serviceDatabase);
  folder = await mkdtemp(path.join(tmpdir(), 'imports-'));
});
afterAll(async () => {
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

/** An export of one bucket whose events are large, so that there are few of them: memory is what is looked at. */
async function write(file: string, size: number): Promise<number> {
  const out = createWriteStream(file);
  let written = 0;
  const put = async (text: string): Promise<void> => {
    written += text.length;
    if (!out.write(text)) await once(out, 'drain');
  };
  await put(
    `{"buckets": {"w": {"type": "currentwindow", "client": "aw-watcher-window", "hostname": "desk", "events": [`,
  );
  const title = 'x'.repeat(Number(process.env.IMPORT_TEST_TITLE ?? 2_000));
  let events = 0;
  const first = Date.now() - 86_400_000;
  while (written < size) {
    const timestamp = new Date(first - events * 12_000).toISOString();
    const app = `A ${events % 5}`;
    const event = { id: events, timestamp, duration: 11.5, data: { app, title: `${events} ${title}` } };
    await put(`${events++ > 0 ? ', ' : ''}${JSON.stringify(event)}`);
  }
  await put(']}}}');
  out.end();
  await once(out, 'finish');
  return events;
}

/** As it is deployed: what is garbage goes early. */
const flags = ['--max-old-space-size=192', '--max-semi-space-size=8'];

test('a file of any size is taken, read and imported in 300 MB', async () => {
  const file = path.join(folder, 'large.json');
  const events = await write(file, bytes);
  const main = fileURLToPath(new URL('memory-main.ts', import.meta.url));
  const child = spawn(process.execPath, [...flags, main, database.url, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value ?? '{}');
    const { url, header: authorization } = await next();
    const boundary = 'worktide-memory';
    const answer = await fetch(`${url}/api/v1/imports`, {
      method: 'POST',
      headers: { authorization, 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: ReadableStream.from(formOf({ kind: 'activitywatch' }, file, boundary)),
      duplex: 'half',
    } as RequestInit);
    expect(answer.status).toBe(202);
    const { status, result, maxRSS, seconds } = await next();
    if (process.env.IMPORT_TEST_BYTES) {
      process.stdout.write(`${bytes} bytes, ${events} events: ${maxRSS} KiB, ${JSON.stringify(seconds)}\n`);
    }
    expect({ status, result }).toMatchObject({
      status: 'done',
      result: { added: events, alreadyThere: 0, refused: 0 },
    });
    expect(maxRSS).toBeLessThan(maxResidentKiB);
  } finally {
    child.kill('SIGKILL');
  }
}, 3_600_000);
