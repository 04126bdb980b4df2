import { uuidv7 } from '@worktide/runtime';
import { openArea } from '../area.ts';
import { type Context, until } from '../context.ts';
import { percentile } from '../statistics.ts';

const part = 'ping to report';
const probes = 40;
const backgroundUsers = 100;
const backgroundEveryMs = 20;
const pollEveryMs = 20;

/** How long until a ping shows in `GET /reports/apps`, while fifty others a second come in. */
export async function latency(context: Context): Promise<void> {
  const { report, options } = context;
  const area = await openArea(context, 'latency');
  const gateway = await area.start('ingest-gateway');
  await area.start('session-writer');
  const analytics = await area.start('analytics');
  const count = Math.max(5, Math.round(probes * options.scale));
  const tokens = await area.tokens(backgroundUsers + count);

  async function post(user: number, app: string): Promise<string> {
    const now = Date.now();
    const ping = { id: uuidv7(now), startedAt: iso(now - 5_000), endedAt: iso(now), app };
    const response = await fetch(`${gateway.url}/api/v1/pings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens[user]}`, 'content-type': 'application/json' },
      body: JSON.stringify(ping),
    });
    if (response.status !== 202) throw new Error(`a ping was answered ${response.status}: ${await response.text()}`);
    await response.arrayBuffer();
    return ping.startedAt.slice(0, 10);
  }
  async function shows(user: number, date: string, app: string): Promise<boolean> {
    const response = await fetch(`${analytics.url}/api/v1/reports/apps?date=${date}`, {
      headers: { authorization: `Bearer ${tokens[user]}` },
    });
    const body = (await response.json()) as { items: { app: string }[] };
    return body.items.some((item) => item.app === app);
  }

  let turn = 0;
  const background = setInterval(() => {
    post(turn++ % backgroundUsers, 'Background').catch((error: unknown) => context.lifecycle.fail(error));
  }, backgroundEveryMs);
  const times: number[] = [];
  try {
    for (let probe = 0; probe < count; probe++) {
      const user = backgroundUsers + probe;
      const startedAt = performance.now();
      const date = await post(user, 'Probe');
      await until(context, 'a ping to show', () => shows(user, date, 'Probe'), {
        everyMs: pollEveryMs,
        deadlineMs: 30_000,
      });
      times.push(performance.now() - startedAt);
    }
  } finally {
    clearInterval(background);
  }
  report.add({ part, what: `p50 of ${count}`, unit: 'ms', ours: percentile(times, 0.5) });
  report.add({ part, what: `p95 of ${count}`, unit: 'ms', ours: percentile(times, 0.95), goal: '≤ 2,000 ms' });
  await area.close();
}

const iso = (ms: number): string => new Date(ms).toISOString();
