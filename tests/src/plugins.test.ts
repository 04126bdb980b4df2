import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pythonPackage, run } from '@worktide/backends';
import { call, expectStatus, until } from '@worktide/testing';
import { AWClient } from 'aw-client';
import { metric } from './support/http.ts';
import { appsReport, makeAgentKey, type Person, register, usageOf, yesterdayNoon } from './support/people.ts';
import { type Product, repository, startProduct, temporaryFolder } from './support/product.ts';

/** Programs that speak other protocols, against the product as `npm start` runs it: what they recorded is in reports to the second. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let person: Person;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
  person = await register(product.url);
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

test('a plugin of WakaTime with a key of its own', async () => {
  const { url } = product;
  const { key } = await makeAgentKey(url, person, 'editor');
  const noon = yesterdayNoon();
  // As wakatime-cli 1.102 sends them.
  const agent = 'wakatime/v1.102.1 (linux-6.1.0-unknown) go1.22.4 vscode/1.91.1 vscode-wakatime/24.6.0';
  const heartbeat = (seconds: number, project = 'api') => ({
    branch: 'main',
    category: 'coding',
    cursorpos: 12,
    dependencies: ['fs'],
    entity: '/home/me/api/main.ts',
    is_write: true,
    language: 'TypeScript',
    lineno: 42,
    lines: 100,
    project,
    type: 'file',
    time: noon / 1_000 + seconds,
    user_agent: agent,
  });
  const headers = {
    authorization: `Basic ${Buffer.from(key).toString('base64')}`,
    'content-type': 'application/json',
    'user-agent': agent,
    'x-machine-name': 'box',
    timezone: 'Europe/Berlin',
  };
  const bulk = (body: object[]) => call(url, 'post', '/api/v1/users/current/heartbeats.bulk', { body, headers });
  const sent = [0, 120, 240, 361, 1_300, 1_400].map((seconds) => heartbeat(seconds));
  const first = expectStatus(await bulk(sent), 202);
  expect(first.responses.map(([, status]: [object, number]) => status)).toEqual([201, 201, 201, 201, 201, 201]);
  expectStatus(await bulk(sent), 202);
  // Between 361 s and 1,300 s there are more than 15 minutes; a millisecond for who was seen last.
  await until('the report', async () => (await appsReport(url, person.accessToken))['VS Code'] === 461);
  const usage = (await usageOf(url, person.accessToken)).filter(({ app }) => app === 'VS Code');
  expect(usage.map(({ deviceId }) => deviceId)).toEqual(['editor', 'editor']);
  const date = new Date(noon).toISOString().slice(0, 10);
  const summaries = `/api/v1/users/current/summaries?start=${date}&end=${date}&api_key=${key}`;
  const read = expectStatus(await call(url, 'get', summaries), 200);
  expect(read.data[0].grand_total).toMatchObject({ total_seconds: 461, text: '7 mins' });
  expect(read.data[0].projects).toMatchObject([{ name: 'api', percent: 100 }]);
  expectStatus(await call(url, 'get', '/api/v1/users/current/statusbar/today', { headers }), 200);
  expect(await product.printed()).not.toContain(key);
});

test('the client of ActivityWatch for Python, as watchers and scripts use it', async () => {
  const { url } = product;
  const script = await register(url);
  const { key } = await makeAgentKey(url, script, 'python');
  const { hostname, port } = new URL(url);
  const start = new Date(yesterdayNoon() - 3 * 3_600_000).toISOString();
  const { python, folder: packages } = await pythonPackage('aw-client==0.5.15');
  const file = path.join(repository, 'tests/src/support/activitywatch.py');
  const home = path.join(folder.dir, 'home');
  const env = { ...process.env, PYTHONPATH: packages, PYTHONWARNINGS: 'ignore', HOME: home, XDG_DATA_HOME: home };
  await mkdir(home, { recursive: true });
  const said = JSON.parse(
    (await run(python, [file, key, hostname, port, start.replace('Z', '+00:00')], { env })).trim().split('\n').at(-1)!,
  );
  expect(said).toEqual({
    buckets: ['aw-watcher-afk_py', 'aw-watcher-window_live', 'aw-watcher-window_py'],
    count: 2,
    events: [
      ['Two', 30],
      ['One', 25],
    ],
    one: { app: 'Two', title: 'Two' },
    setting: 'dark',
    query: [{ window: 3_600, afk: 1_800 }],
  });
  const apps = await until('the report', async () => {
    const found = await appsReport(url, script.accessToken);
    return found.Two === 30 && found.Editor === 1_800 ? found : undefined;
  });
  // What was kept away from the keyboard is no app's; One goes on until Two begins.
  expect(apps).toEqual({ Editor: 1_800, One: 30, Two: 30 });
  const usage = await usageOf(url, script.accessToken);
  const seconds = (state: string) =>
    usage
      .filter((entry) => entry.source === 'window' && entry.state === state)
      .reduce((sum, entry) => sum + entry.seconds, 0);
  expect([seconds('active'), seconds('idle')]).toEqual([1_860, 1_800]);
  expect(await product.printed()).not.toContain(key);
}, 120_000);

test('the client of ActivityWatch for JavaScript, as extensions of browsers and editors use it', async () => {
  const { url } = product;
  const browser = await register(url);
  const { key } = await makeAgentKey(url, browser, 'javascript');
  const client = new AWClient('aw-client-web', { baseURL: `${url}/agent/${key}` });
  expect(await client.getInfo()).toMatchObject({ hostname: 'worktide' });
  const bucket = 'aw-watcher-web-firefox_js';
  expect(await client.ensureBucket(bucket, 'web.tab.current', 'laptop')).toEqual({ alreadyExist: false });
  expect(await client.ensureBucket(bucket, 'web.tab.current', 'laptop')).toEqual({ alreadyExist: true });
  const at = (seconds: number) => new Date(yesterdayNoon() + seconds * 1_000);
  for (let second = 0; second <= 60; second += 5) {
    const data = {
      url: `https://site-${second < 30 ? 1 : 2}.example.com/`,
      title: 'A page',
      ...(second === 45 ? { incognito: true as unknown as string } : {}),
    };
    await client.heartbeat(bucket, 6, { timestamp: at(second), duration: 0, data });
  }
  const events = await client.getEvents(bucket);
  expect(events.map(({ duration }) => duration)).toEqual([10, 10, 25]);
  expect(await client.countEvents(bucket)).toBe(3);
  const [answer] = await client.query(
    [{ start: at(0), end: at(3_600) }],
    [`events = split_url_events(query_bucket("${bucket}"));`, 'RETURN = merge_events_by_keys(events, ["$domain"]);'],
  );
  expect(answer.map(({ data, duration }: { data: object; duration: number }) => [data, duration])).toEqual(
    expect.arrayContaining([
      [{ $domain: 'site-1.example.com' }, 25],
      [{ $domain: 'site-2.example.com' }, 20],
    ]),
  );
  // Of the private window nothing is known; the page before and after it goes on over so short a gap.
  await until('the report', async () => (await appsReport(url, browser.accessToken)).Firefox === 60);
  expect(await product.printed()).not.toContain(key);
});

test('watchers of ActivityWatch behind the bridge, with somebody who pauses meanwhile', async () => {
  const { url } = product;
  const { key } = await makeAgentKey(url, person, 'bridged');
  const main = path.join(repository, 'tools/bridge/src/main.ts');
  const args = [main, '--url', url, '--port', '0', '--data', path.join(folder.dir, 'bridge')];
  const env = { ...process.env, WORKTIDE_KEY: key };
  const bridge = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => bridge.once('exit', resolve));
  try {
    let printed = '';
    bridge.stdout.on('data', (chunk) => {
      printed += chunk;
    });
    const local = await until('the bridge', () => /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0]);
    const start = yesterdayNoon() + 3_600_000;
    const bucket = { client: 'aw-watcher-window', type: 'currentwindow', hostname: 'laptop' };
    expectStatus(await call(local, 'post', '/api/0/buckets/aw-watcher-window_laptop', { body: bucket }), 200);
    const beat = async (seconds: number, app: string) => {
      const timestamp = new Date(start + seconds * 1_000).toISOString();
      const body = { timestamp, duration: 0, data: { app, title: `${app} title` } };
      expectStatus(
        await call(local, 'post', '/api/0/buckets/aw-watcher-window_laptop/heartbeat?pulsetime=6', { body }),
        200,
      );
    };
    for (let second = 0; second <= 60; second += 5) await beat(second, second < 30 ? 'Bridged one' : 'Bridged two');
    await beat(200, 'Bridged last');
    await until(
      'the report',
      async () => {
        const apps = await appsReport(url, person.accessToken);
        return apps['Bridged one'] === 30 && apps['Bridged two'] === 30;
      },
      { seconds: 60 },
    );

    const later = new Date(Date.now() + 3_600_000).toISOString();
    const pause = { bearer: person.accessToken, body: { until: later } };
    expectStatus(await call(url, 'put', '/api/v1/users/me/pause', pause), 200);
    const taken = () => metric(url, 'worktide_privacy_taken_total', { kind: 'pause' });
    let second = 1_000;
    await until(
      'what the bridge sends is kept nowhere',
      async () => {
        second += 100;
        await beat(second, 'Bridged secret');
        return (await taken()) > 0;
      },
      { seconds: 60, everyMs: 1_000 },
    );
    bridge.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    bridge.kill('SIGKILL');
    await ended;
  }
}, 180_000);
