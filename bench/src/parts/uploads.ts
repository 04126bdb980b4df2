import { readdir, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startEngine } from '@worktide/backends';
import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { peakMemoryMiB } from '../meter.ts';

const connections = 8;
const sizes = [
  { size: 300_000, what: '300 kB' },
  { size: 5_000_000, what: '5 MB' },
];
const boundary = 'worktide-bench';

interface Target {
  name: 'gateway' | 'floor';
  pid: number;
  port: number;
  /** Where its store keeps its objects. */
  folder: string;
  /** The whole body of one upload of this picture. */
  wrap(picture: Buffer): Buffer;
  headers: (connection: number) => Record<string, string>;
}

/** Bytes a second of screenshots through the gateway into a folder, beside node:http streaming bare bodies into one. */
export async function uploads(context: Context): Promise<void> {
  const { report, options, say } = context;
  const area = await openArea(context, 'uploads');
  const service = await area.start('ingest-gateway');
  const tokens = await area.tokens(connections);
  const floor = await startFloor(context);
  const ours: Target = {
    name: 'gateway',
    ...service,
    folder: path.join(context.dir, 'uploads', 'objects'),
    wrap: asForm,
    headers: (connection) => ({
      authorization: `Bearer ${tokens[connection]}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
    }),
  };

  for (const { size, what } of sizes) {
    const picture = pictureOf(size);
    const rates: Record<Target['name'], number[]> = { gateway: [], floor: [] };
    for (const target of [floor, ours]) await measure(target, picture, 1);
    for (let round = 0; round < options.rounds; round++) {
      for (const target of [floor, ours]) {
        const rate = await measure(target, picture, options.seconds);
        rates[target.name].push(rate);
        await empty(target.folder);
        say(`  ${target.name.padEnd(7)} ${connections} connections × ${what}: ${Math.round(rate)} MB/s`);
      }
    }
    const part = `uploads, ${what}, ${connections} connections`;
    report.addPairs({ part, what: 'taken', unit: 'MB/s' }, rates.gateway, rates.floor);
  }
  const memory = { ours: await peakMemoryMiB(ours.pid), floor: await peakMemoryMiB(floor.pid) };
  report.add({ part: 'uploads', what: 'peak memory', unit: 'MiB', ...memory, goal: '≤ 512 MiB' });
  await area.close();
}

/** Begins like a PNG; the rest is as incompressible as a picture's. */
function pictureOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 2_654_435_761) >>> 13;
  Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').copy(bytes);
  return bytes;
}

const asForm = (picture: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="blurLevel"\r\n\r\n2\r\n` +
        `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n`,
    ),
    picture,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);

/** Megabytes of pictures a second. @throws Error where one is not taken. */
async function measure(target: Target, picture: Buffer, seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const body = target.wrap(picture);
  const startedAt = performance.now();
  const end = startedAt + seconds * 1_000;
  let taken = 0;
  await Promise.all(
    Array.from({ length: connections }, async (_, connection) => {
      while (performance.now() < end) {
        await post(target, agent, body, target.headers(connection));
        taken += picture.length;
      }
    }),
  );
  agent.destroy();
  return taken / 1e6 / ((performance.now() - startedAt) / 1_000);
}

/** Some gigabytes a round; the folders of the first levels are the store's own. */
async function empty(folder: string): Promise<void> {
  for (const own of await readdir(folder)) {
    for (const name of await readdir(path.join(folder, own))) {
      await rm(path.join(folder, own, name), { recursive: true, force: true });
    }
  }
}

const post = ({ name, port }: Target, agent: Agent, body: Buffer, headers: Record<string, string>): Promise<void> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, agent, method: 'POST', path: '/api/v1/sync/screenshots' };
    const call = request({ ...options, headers: { ...headers, 'content-length': body.length } }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 202) resolve();
        else reject(new Error(`an upload was answered ${response.statusCode} by ${name}`));
      });
    });
    call.once('error', reject);
    call.end(body);
  });

async function startFloor({ dir, lifecycle }: Context): Promise<Target> {
  const port = await freePort();
  const folder = path.join(dir, 'upload-floor');
  const engine = await startEngine({
    name: 'upload floor',
    url: `http://127.0.0.1:${port}`,
    command: process.execPath,
    args: [
      fileURLToPath(new URL('../floors/upload.ts', import.meta.url)),
      ...['--port', String(port), '--store', `file:${path.join(folder, 'objects')}`],
    ],
    dir: folder,
    ready: (log) => log.includes('listening'),
  });
  lifecycle.onClose('upload floor', () => engine.stop());
  return {
    name: 'floor',
    pid: engine.pid,
    port,
    folder: path.join(folder, 'objects'),
    wrap: (picture) => picture,
    headers: () => ({}),
  };
}
