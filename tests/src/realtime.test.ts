import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runFleet, verdictLines } from '@worktide/fleet';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import { io, type Socket } from 'socket.io-client';
import { invite, makeAgentKey, type Person, ping, post, register } from './support/people.ts';
import { type Product, repository, startProduct, temporaryFolder } from './support/product.ts';

/** Sockets at the one origin of `npm start`, from ping to push. */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 120_000);
afterAll(async () => {
  for (const socket of sockets) socket.disconnect();
  await product?.process.stop();
  await folder?.remove();
});

const api = async (as: Person, method: string, path: string, status: number, body?: object): Promise<Json> =>
  expectStatus(await call(product.url, method, `/api/v1${path}`, { bearer: as.accessToken, body }), status);

async function watch(as: Person): Promise<{ socket: Socket; heard: { event: string; payload: Json }[]; state: Json }> {
  const socket = io(product.url, { transports: ['websocket'], forceNew: true, auth: { token: as.accessToken } });
  sockets.push(socket);
  const heard: { event: string; payload: Json }[] = [];
  socket.onAny((event: string, payload: Json) => void heard.push({ event, payload }));
  const state = await new Promise<Json>((resolve, reject) => {
    socket.once('session:state', resolve);
    socket.once('connect_error', reject);
  });
  return { socket, heard, state };
}

test('a manager sees who works, and what they do, within moments; a stranger sees nothing', async () => {
  const boss = await register(product.url);
  const ada = await invite(product, boss, 'employee');
  const stranger = await register(product.url);
  const { key } = await makeAgentKey(product.url, ada, 'laptop');
  const timer = await api(ada, 'post', '/time-entries', 201, { description: 'Invoices' });
  const [his, hers, strangers] = [await watch(boss), await watch(ada), await watch(stranger)];
  expect(hers.state).toMatchObject({ entry: { id: timer.id, description: 'Invoices', activeSeconds: 0 } });
  const told = (heard: { event: string; payload: Json }[], event: string, of: (payload: Json) => boolean) =>
    until(event, () => heard.find((one) => one.event === event && of(one.payload))?.payload as Json);

  await api(boss, 'patch', '/organization', 200, { settings: { showCurrentApp: true } });
  const now = Date.now();
  await post(product.url, key, ping('Editor', { at: now - 20_000, seconds: 20 }));
  await told(his.heard, 'user:online', ({ userId, app }) => userId === ada.userId && app === 'Editor');
  await until('the list says so, too', async () => {
    const { items } = await api(boss, 'get', '/presence', 200);
    const mine = items.find(({ userId }: Json) => userId === ada.userId);
    return mine?.state === 'online' && mine.app === 'Editor' && mine.deviceId === 'laptop';
  });
  const stopped = await api(ada, 'put', `/time-entries/${timer.id}/stop`, 200, {});
  const { version, status } = await told(his.heard, 'session:update', ({ id, endTime }) => id === timer.id && endTime);
  expect({ version, status }).toEqual({ version: stopped.version, status: 'STOPPED' });

  const project = await api(boss, 'post', '/projects', 201, { name: 'P' });
  const task = await api(boss, 'post', '/tasks', 201, { projectId: project.id, title: 'T', assigneeId: ada.userId });
  await told(hers.heard, 'task:event', ({ type, task: { id } }) => type === 'created' && id === task.id);
  const answer = await strangers.socket.emitWithAck('subscribe-to-task', { taskId: task.id });
  expect(answer).toMatchObject({ error: { code: 'NOT_FOUND' } });
  expect(await his.socket.emitWithAck('subscribe-to-task', { taskId: task.id })).toEqual({ ok: true });
  await api(boss, 'patch', `/tasks/${task.id}`, 200, { title: 'T2', version: task.version });
  await told(his.heard, 'task:event', ({ type, task: { title } }) => type === 'updated' && title === 'T2');
  expect(strangers.heard.map(({ event }) => event)).toEqual(['connected', 'session:state']);

  await until('the list of people follows', async () => {
    const { lastSeenAt } = await api(boss, 'get', `/users/${ada.userId}`, 200);
    return Date.parse(lastSeenAt) >= now;
  });

  // A suspended person's socket is gone within seconds.
  const cut = new Promise<Json>((resolve) => hers.socket.once('cut', resolve));
  const at = Date.now();
  await api(boss, 'patch', `/users/${ada.userId}`, 200, { status: 'suspended' });
  expect((await cut).code).toBe('UNAUTHORIZED');
  expect(Date.now() - at).toBeLessThan(10_000);
});

test('the client of the documentation shows who works', async () => {
  const boss = await register(product.url);
  const { key } = await makeAgentKey(product.url, boss);
  // The list learns of who registers by the log, a moment later.
  await until('the list has them', async () => (await api(boss, 'get', '/presence', 200)).items.length === 1);
  const text = await readFile(path.join(repository, 'docs/realtime.md'), 'utf8');
  const source = /```js\n(.*?)```/s.exec(text)![1]!;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: path.join(repository, 'tests'),
    env: { ...process.env, URL: product.url, TOKEN: boss.accessToken },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let printed = '';
    child.stdout.on('data', (data) => (printed += data));
    await until('the list', () => printed.includes(`${boss.userId} offline`));
    await post(product.url, key, ping('Editor', { at: Date.now() - 10_000, seconds: 10 }));
    await until('the push', () => printed.includes(`${boss.userId} online`));
  } finally {
    child.kill();
  }
});

test('what watchers of a fleet are told is what the lists say', async () => {
  const options = { agents: 6, users: 3, seconds: 4, timers: 6, watchers: 6, settle: 60, rate: 200 };
  const result = await runFleet({ url: product.url, ...options });
  result.close();
  expect({ verdict: verdictLines(result).join('\n'), equal: result.equal }).toMatchObject({ equal: true });
  expect(result.watched).toMatchObject({ equal: true, watchers: 6, differences: [] });
  expect(result.watched!.events).toBeGreaterThan(50);
  expect(result.watched!.compared).toBeGreaterThan(20);
}, 180_000);
