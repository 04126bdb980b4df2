import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '@worktide/backends';
import { createClickHouse } from '@worktide/clickhouse';
import { silentLogger, uuidv7 } from '@worktide/runtime';
import { call, expectStatus, until } from '@worktide/testing';
import pg from 'pg';
import { metric } from './support/http.ts';
import { invite, makeAgentKey, type Person, ping, post, register, usageOf, yesterdayNoon } from './support/people.ts';
import { type Product, postgresUrlOf, startProduct, temporaryFolder } from './support/product.ts';
import { formOf, pictureOf } from './support/screenshots.ts';

/** Stands in everything that is sent and may be kept nowhere; and in what is sent beside it, so that the look finds what is there. */
const marker = 'zqsecret7';
const control = 'zqcontrol7';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let clickhousePort: number;
let admin: Person;
let employee: Person;
let key: string;
let employeeKey: string;
const answers: string[] = [];

const taken = (kind: string): Promise<number> => metric(product.url, 'worktide_privacy_taken_total', { kind });

beforeAll(async () => {
  folder = await temporaryFolder();
  clickhousePort = await freePort();
  product = await startProduct(folder.dir, { WORKTIDE_CLICKHOUSE_PORT: String(clickhousePort) });
  admin = await register(product.url);
  employee = await invite(product, admin, 'employee');
  key = (await makeAgentKey(product.url, admin, `device-${control}`)).key;
  employeeKey = (await makeAgentKey(product.url, employee)).key;
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

const ask = async (method: string, where: string, options: Parameters<typeof call>[3], status: number) => {
  const answer = await call(product.url, method, `/api/v1${where}`, options);
  answers.push(answer.text);
  return expectStatus(answer, status);
};

async function decide(privacy: object): Promise<void> {
  const bearer = admin.accessToken;
  const { version } = await ask('get', '/organization/privacy', { bearer }, 200);
  await ask('put', '/organization/privacy', { bearer, body: { ...privacy, version } }, 200);
}

/** Rows of every table of PostgreSQL that hold a text, as `schema.table`. */
async function postgresTables(text: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: await postgresUrlOf(product) });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
       WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    expect(rows.length).toBeGreaterThan(20);
    const found: string[] = [];
    for (const { name } of rows) {
      // Outboxes hold packed bytes; they are emptied when the log has them, which the log's files show.
      const hit = await client.query(`SELECT 1 FROM ${name} t WHERE strpos(lower(t::text), $1) > 0 LIMIT 1`, [text]);
      if (hit.rowCount) found.push(name);
    }
    return found;
  } finally {
    await client.end();
  }
}

/** The same of ClickHouse. */
async function clickhouseTables(text: string): Promise<string[]> {
  const { clickhousePassword } = JSON.parse(await readFile(path.join(product.data, 'secrets.json'), 'utf8'));
  const url = `http://default:${clickhousePassword}@127.0.0.1:${clickhousePort}/default`;
  const clickhouse = createClickHouse(url, { log: silentLogger() });
  try {
    const tables = await clickhouse.query<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name`,
    );
    expect(tables.length).toBeGreaterThan(8);
    const found: string[] = [];
    for (const { name } of tables) {
      const [{ n }] = (await clickhouse.query<{ n: number }>(
        `SELECT toUInt32(count()) AS n FROM ${name} WHERE position(lower(toString(tuple(*))), {text:String}) > 0`,
        { params: { text } },
      )) as [{ n: number }];
      if (n > 0) found.push(name);
    }
    return found;
  } finally {
    await clickhouse.close();
  }
}

/** Files of the log, of objects, of mail and of what was printed that hold a text. Of a running log its pages are in the file. */
async function files(text: string): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(folder.dir, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const name = path.join(entry.parentPath, entry.name);
    const bytes = await readFile(name).catch(() => Buffer.alloc(0));
    if (bytes.includes(text)) found.push(path.relative(folder.dir, name));
  }
  return found;
}

test('what privacy takes away is answered as taken and exists nowhere; counters say how much there was', async () => {
  const { url } = product;
  const at = yesterdayNoon();
  const bearer = admin.accessToken;
  await decide({
    rules: [
      { id: 'diary', kind: 'drop', apps: ['ZQSE*7 diary'] },
      { id: 'bank', kind: 'drop', hosts: ['*.zqse*7.example'] },
      { id: 'mail', kind: 'redact-title', apps: ['Mail*'] },
      { id: 'doctor', kind: 'host-only', hosts: ['doctor.example'] },
    ],
  });
  await until('the rules hold', async () => {
    await post(url, key, ping('Mail probe', { at: at - 3_600_000, title: `probe ${control}` }));
    return (await taken('redact-title')) > 0;
  });

  const iso = (seconds: number) => ({ at: at + seconds * 1_000, seconds: 10 });
  const sent = [
    ping(`${marker} Diary`, { ...iso(0), title: marker }),
    ping('Browser', { ...iso(10), url: `https://login.${marker}.example/${marker}`, title: marker }),
    ping('Mailer', { ...iso(20), title: `${marker} in a title` }),
    ping('Browser', { ...iso(30), url: `https://doctor.example/${marker}?q=${marker}` }),
    ping(`Private ${marker}`, { ...iso(40), incognito: true }),
    ping(`Kept ${control}`, { ...iso(50), title: control, url: `https://${control}.example/${control}` }),
  ];
  expect(await ask('post', '/pings', { bearer: key, body: sent }, 202)).toEqual({ accepted: 6, rejected: [] });

  // The same in other systems' words: nothing of it may stand in what these protocols keep, either.
  const event = (seconds: number, data: object) => ({ timestamp: new Date(at + seconds * 1_000), duration: 5, data });
  const foreign = async (bearer: string, where: string, body: object) =>
    answers.push((await call(url, 'post', where, { bearer, body })).text.replaceAll(marker, 'what was asked'));
  const beats: [string, object][] = [
    ['aw-watcher-window_box', event(60, { app: `${marker} Diary`, title: marker })],
    ['aw-watcher-window_box', event(70, { app: 'Mailer', title: marker, more: { text: marker } })],
    ['aw-watcher-web-firefox_box', event(80, { url: `https://doctor.example/${marker}`, title: control })],
    ['aw-watcher-web-firefox_box', event(90, { url: `https://${marker}.example/`, title: marker, incognito: true })],
    ['notes_box', event(90, { note: marker, count: 1 })],
  ];
  for (const [bucket, body] of beats) await foreign(key, `/api/0/buckets/${bucket}/heartbeat?pulsetime=1`, body);
  await foreign(key, '/api/v1/users/current/heartbeats.bulk', [
    { entity: `login.${marker}.example`, type: 'domain', time: at / 1_000 + 100 },
    { entity: marker, time: at / 1_000 + 110, incognito: true, project: marker },
    { entity: `${control}.ts`, time: at / 1_000 + 120, project: control },
  ]);
  for (const where of ['/api/0/export', '/api/0/buckets', '/api/v1/users/current/projects']) {
    answers.push((await call(url, 'get', where, { bearer: key })).text);
  }

  const later = new Date(Date.now() + 3_600_000).toISOString();
  await ask('put', '/users/me/pause', { bearer: employee.accessToken, body: { until: later } }, 200);
  await until('the pause holds', async () => {
    await post(url, employeeKey, ping('Probe', { at: at - 7_200_000 }));
    return (await taken('pause')) > 0;
  });
  const paused = { bearer: employeeKey, body: ping(`App ${marker}`, { title: marker }) };
  expect((await ask('post', '/pings', paused, 202)).accepted).toBe(1);
  await foreign(employeeKey, '/api/0/buckets/aw-watcher-window_box/heartbeat?pulsetime=1', beats[0]![1]);
  await foreign(employeeKey, '/api/v1/users/current/heartbeats', { entity: marker, time: at / 1_000, project: marker });
  const minute = { minute: new Date(at).toISOString(), keyboardClicks: 1, mouseMovements: 1, deviceId: marker };
  await ask('post', '/activity', { bearer: employeeKey, body: minute }, 202);
  const screenshotId = uuidv7();
  const form = formOf(await pictureOf(1), { screenshotId, metadata: JSON.stringify({ os: marker }) });
  expect(await ask('post', '/sync/screenshots', { bearer: employeeKey, ...form }, 202)).toEqual({ screenshotId });

  const kept = await until('what may be kept is an entry', async () => {
    const found = (await usageOf(url, bearer)).map(({ app }) => app);
    return found.includes(`Kept ${control}`) ? found : undefined;
  });
  expect(kept).toEqual(expect.arrayContaining(['Browser', `Kept ${control}`, 'Mail probe', 'Mailer']));
  await until('and in ClickHouse', async () => (await clickhouseTables(control)).includes('pings'));

  // The look finds what is there …
  expect(await clickhouseTables(control)).toEqual(expect.arrayContaining(['pings', 'usage']));
  const held = ['auth.agent_keys', 'agent_protocols.buckets', 'agent_protocols.heartbeats'];
  expect(await postgresTables(control)).toEqual(expect.arrayContaining(held));
  expect((await files(control)).some((name) => name.startsWith('data/log'))).toBe(true);
  // … and nothing of the rest: in no table, and in no file, what was printed and PostgreSQL's own log among them.
  expect(await clickhouseTables(marker)).toEqual([]);
  expect(await postgresTables(marker)).toEqual([]);
  expect(await files(marker)).toEqual([]);
  expect(answers.filter((text) => text.includes(marker))).toEqual([]);
  const shots = await call(url, 'get', `/api/v1/screenshots/${screenshotId}`, { bearer: employee.accessToken });
  expect(shots.status).toBe(404);
  expect((await files(screenshotId)).filter((name) => name.includes('objects'))).toEqual([]);
  expect(await taken('drop')).toBe(4);
  expect(await taken('host-only')).toBe(2);
  expect(await taken('private-window')).toBe(3);
}, 180_000);
