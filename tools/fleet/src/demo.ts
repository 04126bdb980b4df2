import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Account, registerAccounts } from './accounts.ts';
import { createHttpClient, type HttpClient, sendUntilAnswered } from './client.ts';
import { createPresent, workHistory } from './demo-history.ts';
import { shotOf, shotsOfHistory } from './demo-screenshots.ts';
import { localDate } from './oracle/days.ts';
import type { WirePing } from './oracle/ledger.ts';
import { requestOf, type Shot } from './screenshots/shots.ts';
import { createReader } from './verify/read.ts';

const usage = `Usage: npm run demo -- [--url http://127.0.0.1:8080] [--days 14] [--once]

Starts the product (unless --url names one that runs), registers an organisation, fills it with two weeks of work,
and goes on working until Ctrl-C.

  --url <origin>   use this product instead of starting one
  --days <n>       days of history (14, at most 80)
  --once           leave after the history`;

const email = 'ada@northwind.example';
const password = 'northwind-demo-password';
const startMs = 120_000;
const pingsPerRequest = 500;
const liveEveryMs = 10_000;
/** A screenshot in so many live pings: two an hour. */
const livePingsPerShot = 180;
const shotDays = 3;
const shotsPerDay = 5;
/** Layout is to be seen, and text is not to be read. */
const minimumBlurLevel = 1;
const dayMs = 86_400_000;

const print = (line = ''): void => void process.stdout.write(`${line}\n`);

/** The product as a child with its output on ours; it ends with us, and we with it. */
function startProduct(onExit: () => void): ChildProcess {
  const main = fileURLToPath(new URL('../../standalone/src/main.ts', import.meta.url));
  const child = spawn(process.execPath, [main], { stdio: ['ignore', 'inherit', 'inherit'] });
  child.once('exit', onExit);
  return child;
}

async function untilReady(client: HttpClient, url: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + startMs;
  while (!signal.aborted) {
    const answer = await client.send(url, { method: 'GET', path: '/health/ready' }).catch(() => undefined);
    if (answer?.status === 200) return;
    if (Date.now() > deadline) throw new Error(`${url} is not ready after ${startMs / 1000} s`);
    await sleep(250, undefined, { signal }).catch(() => {});
  }
}

async function post(
  client: HttpClient,
  url: string,
  agentKey: string,
  pings: readonly WirePing[],
  signal: AbortSignal,
): Promise<void> {
  for (let i = 0; i < pings.length; i += pingsPerRequest) {
    const body = JSON.stringify(pings.slice(i, i + pingsPerRequest));
    const headers = { authorization: `Bearer ${agentKey}`, 'content-type': 'application/json' };
    const request = { method: 'POST', path: '/api/v1/pings', headers, body } as const;
    const answer = await sendUntilAnswered(client, url, request, { deadline: Date.now() + 60_000, signal });
    if (answer.status !== 202) throw new Error(`pings were answered ${answer.status}: ${answer.text.slice(0, 300)}`);
  }
}

async function postShots(
  client: HttpClient,
  url: string,
  agentKey: string,
  shots: readonly Shot[],
  signal: AbortSignal,
): Promise<void> {
  for (const shot of shots) {
    const { body, contentType } = await requestOf(shot);
    const headers = { authorization: `Bearer ${agentKey}`, 'content-type': contentType };
    const request = { method: 'POST', path: '/api/v1/sync/screenshots', headers, body } as const;
    const answer = await sendUntilAnswered(client, url, request, { deadline: Date.now() + 120_000, signal });
    if (answer.status !== 202) {
      throw new Error(`a screenshot was answered ${answer.status}: ${answer.text.slice(0, 300)}`);
    }
  }
}

/** The last whole day before today on which people work. */
function lastWorkday(zone: string): string {
  let at = Date.now() - dayMs;
  while ([0, 6].includes(new Date(localDate(at, zone)).getUTCDay())) at -= dayMs;
  return localDate(at, zone);
}

function explain(url: string, zone: string, account: Account): void {
  const today = localDate(Date.now(), zone);
  const workday = lastWorkday(zone);
  const weekAgo = localDate(Date.now() - 7 * dayMs, zone);
  print();
  print(`Northwind Studio is at work on ${url}`);
  print(`  login      ${email}  ${password}  (in a browser, at ${url})`);
  print(`  agent key  ${account.devices[0]?.agentKey}`);
  print(`  API docs   ${url}/api/docs`);
  print();
  print('Look at a day or a week of Ada Byron:');
  print(`  KEY=${account.devices[0]?.agentKey}`);
  print(`  curl -s -H "Authorization: Bearer $KEY" '${url}/api/v1/reports/apps?date=${workday}'`);
  print(`  curl -s -H "Authorization: Bearer $KEY" '${url}/api/v1/reports/domains?date=${workday}'`);
  print(`  curl -s -H "Authorization: Bearer $KEY" '${url}/api/v1/reports/daily?from=${weekAgo}&to=${today}'`);
  print(`  curl -s -H "Authorization: Bearer $KEY" '${url}/api/v1/screenshots?limit=5'`);
  print();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      days: { type: 'string' },
      once: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const days = Number(values.days ?? 14);
  if (values.help || !(Number.isInteger(days) && days >= 1 && days <= 80)) {
    print(usage);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const stop = new AbortController();
  const { signal } = stop;
  let wanted = false;
  const child = values.url === undefined ? startProduct(() => stop.abort()) : undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      wanted = true;
      stop.abort();
      // A Ctrl-C reaches the child by itself; a signal to us alone does not. It acts on the first only.
      child?.kill('SIGTERM');
    });
  }
  const url = values.url === undefined ? `http://127.0.0.1:${process.env.WORKTIDE_PORT || 8080}` : values.url;
  const client = createHttpClient({ maxSockets: 4 });
  try {
    await untilReady(client, url, signal);
    if (signal.aborted) return;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const ctx = { client, origin: url, deadline: Date.now() + 60_000, signal };
    const people = [
      {
        email,
        password,
        name: 'Ada Byron',
        organizationName: 'Northwind Studio',
        timezone: zone,
        devices: ['ada-laptop', 'ada-desktop'],
        minimumBlurLevel,
      },
    ];
    const [account] = await registerAccounts(ctx, people);
    const [laptop, desktop] = account!.devices;
    const reader = createReader(client, {
      auth: url,
      ingest: [url],
      usage: url,
      reports: url,
      screenshots: url,
      realtime: url,
      protocols: url,
    });
    if (await reader.hasUsage(account!, Date.now() - 80 * dayMs, Date.now())) {
      print('The demo organisation is there already; going on with it.');
    } else {
      const now = Date.now() - 60_000;
      const history = workHistory({ now, days, zone, seed: 'ada at her laptop' });
      // The machine under the desk runs beside the laptop on some days: two devices at once count once.
      const beside = workHistory({ now, days: 3, zone, seed: 'ada at her desktop' });
      await post(client, url, laptop!.agentKey, history, signal);
      await post(client, url, desktop!.agentKey, beside, signal);
      const shots = shotsOfHistory(history, { deviceId: laptop!.deviceId, days: shotDays, perDay: shotsPerDay });
      await postShots(client, url, laptop!.agentKey, shots, signal);
      print(`${history.length + beside.length} pings of ${days} days and ${shots.length} screenshots taken.`);
    }
    explain(url, zone, account!);
    if (values.once) return;

    print('Live from here: a ping every 10 s, Ctrl-C ends it.');
    const present = createPresent(String(Date.now()));
    for (let from = Date.now(), turn = 1; !signal.aborted; turn++) {
      await sleep(liveEveryMs, undefined, { signal }).catch(() => {});
      const to = Date.now();
      const pings = present.ping(from, to);
      await post(client, url, laptop!.agentKey, pings, signal);
      if (turn % livePingsPerShot === 0) {
        await postShots(client, url, laptop!.agentKey, [shotOf(pings[0]!, laptop!.deviceId)], signal);
      }
      from = to;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    if (signal.aborted && !wanted) {
      process.stderr.write('The product ended by itself; what it said is above.\n');
      process.exitCode = 1;
    }
    client.close();
    if (child && child.exitCode === null && child.signalCode === null) {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    }
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
