import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { freePort, startRedis } from '@worktide/backends';
import { uuidv7 } from '@worktide/runtime';
import WebSocket from 'ws';
import { metricsToken, openArea, type Service } from '../area.ts';
import { type Context, until } from '../context.ts';
import { type Connection, openConnection } from '../load/connection.ts';
import { peakMemoryMiB, startMeter } from '../meter.ts';
import { createHistogram } from '../statistics.ts';

const part = 'realtime';
const socketsInAll = 5_000;
/** Of each organisation one, who watches all its people. */
const managers = 200;
const changesPerSecond = 1_000;
const tickMs = 20;
const connections = 64;

const organizationOf = (n: number): string => `0000feed-0000-7000-8000-${String(n).padStart(12, '0')}`;

/**
 * What five thousand sockets weigh that are there and told little; and how long it takes from a ping to the socket of a manager,
 * while a thousand people a second come online in two hundred organisations. All services, Kafka and Redis run beside it.
 */
export async function realtime(context: Context): Promise<void> {
  const { report, options, say, lifecycle, dir } = context;
  const redisDir = path.join(dir, 'redis');
  await mkdir(redisDir, { recursive: true });
  const redis = await startRedis({ dir: redisDir, port: await freePort() });
  lifecycle.onClose('redis', () => redis.stop());
  const area = await openArea(context, 'realtime', 'realtime', {
    KEY_VALUE_URL: redis.url,
    SOCKETS_MAX: '100000',
    SOCKETS_PER_ADDRESS: '100000',
    // As docs/operating.md has it: an engine with room lets rubbish lie.
    NODE_OPTIONS: '--max-old-space-size=256 --max-semi-space-size=8',
  });
  const seconds = Math.max(2, options.seconds);
  const people = changesPerSecond * seconds;
  const gateway = await area.start('ingest-gateway');
  await area.start('session-writer');
  const service = await area.start('realtime');
  const tokens = await area.tokens(people + managers, (user) => organizationOf(user % managers));

  const count = Math.max(100, Math.round(socketsInAll * options.scale));
  const heap = async (): Promise<number> => (await metric(service, 'nodejs_heap_size_used_bytes')) / 2 ** 20;
  const before = await heap();
  const startedAt = performance.now();
  const sockets: Client[] = [];
  const batch = 50;
  for (let n = 0; n < count; n += batch) {
    const some = Array.from({ length: Math.min(batch, count - n) }, (_, i) => tokens[(n + i) % people]!);
    sockets.push(...(await Promise.all(some.map((token) => open(service, token, () => {})))));
  }
  report.add({ part, what: 'sockets opened', unit: '1/s', ours: count / ((performance.now() - startedAt) / 1_000) });
  const label = `${count.toLocaleString('en')} sockets`;
  say(`  heap: ${Math.round(before)} MiB before, ${Math.round(await heap())} MiB with ${label}`);
  report.add({
    part,
    what: `memory with ${label}, at most`,
    unit: 'MiB',
    ours: await peakMemoryMiB(service.pid),
    goal: '≤ 400 MB',
  });
  const resident = (await metric(service, 'process_resident_memory_bytes')) / 2 ** 20;
  report.add({ part, what: `memory with ${label}`, unit: 'MiB', ours: resident });
  for (const { close } of sockets) close();
  await until(context, 'all to be gone', async () => (await metric(service, 'worktide_sockets')) === 0);

  const sentAt = new Map<string, number>();
  const times = createHistogram();
  const hear = (event: string, payload: { userId: string }): void => {
    if (event !== 'user:online') return;
    const at = sentAt.get(payload.userId);
    if (at === undefined) return;
    sentAt.delete(payload.userId);
    times.add(performance.now() - at);
  };
  const watching = await Promise.all(
    Array.from({ length: managers }, (_, i) =>
      open(service, tokens[people + ((i - (people % managers) + managers) % managers)]!, hear),
    ),
  );
  // Agents have been there before: their tokens are known, and the streams of their devices.
  const senders = await openSenders(gateway, (error) => lifecycle.fail(error));
  for (let user = 0; user < people; user++) senders.send(tokens[user]!, 3_600_000);
  await until(context, 'all to be known', async () => senders.answered() === people);
  await until(context, 'what was before to be read', async () => (await area.lag('realtime-usage', ['usage'])) === 0);
  const spent = await startMeter({ realtime: service.pid });
  let next = 0;
  const loadAt = performance.now();
  while (next < people) {
    const due = Math.min(people, Math.ceil(((performance.now() - loadAt) / 1_000) * changesPerSecond));
    for (; next < due; next++) {
      sentAt.set(subjectOf(tokens[next]!), performance.now());
      senders.send(tokens[next]!, 0);
    }
    await new Promise((resolve) => setTimeout(resolve, tickMs));
  }
  await until(context, 'all pings to be answered', async () => senders.answered() === 2 * people, { everyMs: 5 });
  senders.close();
  const sendSeconds = (performance.now() - loadAt) / 1_000;
  await until(context, 'every change to be told', async () => sentAt.size === 0);
  const cpu = (await spent()).realtime!;
  const what = `ping to socket, ${Math.round(people / sendSeconds)} changes/s, ${managers} managers`;
  report.add({ part, what: `${what}, p50`, unit: 'ms', ours: times.percentile(0.5) });
  report.add({ part, what: `${what}, p95`, unit: 'ms', ours: times.percentile(0.95), goal: '≤ 2,000 ms' });
  report.add({ part, what: 'CPU of the service', unit: 'µs/ping', ours: cpu / people });
  for (const { close } of watching) close();
  await area.close();
}

const subjectOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).sub as string;

/** Sends pings over some connections, each the next when its last is answered. */
async function openSenders({ port }: Service, fail: (error: Error) => void) {
  const waiting: string[] = [];
  const idle: Connection[] = [];
  let answered = 0;
  const all = await Promise.all(
    Array.from({ length: connections }, async () => {
      const connection: Connection = await openConnection({
        port,
        expectedBody: '{"accepted":1,"rejected":[]}',
        onAnswer(status, body) {
          if (status !== 202) return fail(new Error(`a ping was answered ${status}: ${body}`));
          answered++;
          const next = waiting.shift();
          if (next === undefined) idle.push(connection);
          else connection.send(next);
        },
        onFailure: fail,
      });
      return connection;
    }),
  );
  idle.push(...all);
  return {
    /** @param ago how long ago the ping ended, in ms. */
    send(token: string, ago: number): void {
      const now = Date.now() - ago;
      const body = JSON.stringify({
        id: uuidv7(now),
        startedAt: new Date(now - 5_000).toISOString(),
        endedAt: new Date(now).toISOString(),
        app: 'Bench',
      });
      const request =
        `POST /api/v1/pings HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const connection = idle.pop();
      if (connection) connection.send(request);
      else waiting.push(request);
    },
    answered: () => answered,
    close() {
      for (const connection of all) connection.close();
    },
  };
}

async function metric(service: Service, name: string): Promise<number> {
  const headers = { authorization: `Bearer ${metricsToken}` };
  const text = await (await fetch(`${service.url}/metrics`, { headers })).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]);
}

interface Client {
  close(): void;
}

/** As little of a client as there can be: what is measured is the other side. Resolves when it was told its first state. */
function open(
  { url }: Service,
  token: string,
  hear: (event: string, payload: { userId: string }) => void,
): Promise<Client> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: false,
  });
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', (data) => {
      const text = String(data);
      if (text.startsWith('0{')) socket.send(`40${JSON.stringify({ token })}`);
      else if (text === '2') socket.send('3');
      else if (text.startsWith('44')) reject(new Error(`a socket was refused: ${text}`));
      else if (text.startsWith('42')) {
        const [event, payload] = JSON.parse(text.slice(2)) as [string, { userId: string }];
        if (event === 'session:state') resolve({ close: () => socket.close() });
        else hear(event, payload);
      }
    });
  });
}
