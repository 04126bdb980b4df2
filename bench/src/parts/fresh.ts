import { uuidv7 } from '@worktide/runtime';
import { openArea } from '../area.ts';
import { type Context, until } from '../context.ts';
import { percentile } from '../statistics.ts';

const part = 'fresh';
const latePings = 20;
const analystsInAll = 20;
const pingsPerSecond = 50;
/** Some tenths of a second of a core; a person has thousands of these a day. */
const dearQuery =
  'SELECT sum(sipHash64(toString(x), y)) FROM (SELECT x, arrayJoin(range(10)) AS y FROM (SELECT arrayJoin(range(100000)) AS x FROM people))';

/** How long until a late ping is in the sums of its day; and whether analysts at their limits are felt by agents. */
export async function fresh(context: Context): Promise<void> {
  const { report, options, say } = context;
  const area = await openArea(context, 'fresh');
  const auth = await area.start('auth');
  const gateway = await area.start('ingest-gateway');
  await area.start('session-writer');
  const analytics = await area.start('analytics');

  const late = Math.max(3, Math.round(latePings * options.scale));
  const tokens: string[] = [];
  for (let n = 0; n < Math.max(late, analystsInAll); n++) {
    const account = {
      email: `fresh-${n}@bench.example`,
      password: 'the bench’s own password',
      organizationName: `Bench ${n}`,
    };
    const made = await send<{ accessToken: string }>(`${auth.url}/api/v1/auth/register`, '', {
      ...account,
      name: 'Bench',
      timezone: 'Europe/Berlin',
    });
    tokens.push(made.accessToken);
  }
  async function post(user: number, at: number): Promise<number> {
    const ping = { id: uuidv7(), startedAt: iso(at), endedAt: iso(at + 5_000), app: 'Bench' };
    const startedAt = performance.now();
    await send(`${gateway.url}/api/v1/pings`, tokens[user]!, ping);
    return performance.now() - startedAt;
  }
  const ask = <T>(user: number, sql: string): Promise<{ rows: T[][] }> =>
    send(`${analytics.url}/api/v1/analytics/query`, tokens[user]!, { sql });

  const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 3 * 86_400_000 + 12 * 3_600_000;
  const date = iso(noon).slice(0, 10);
  const restated: number[] = [];
  for (let user = 0; user < late; user++) {
    const startedAt = performance.now();
    await post(user, noon);
    const isThere = async (): Promise<boolean> =>
      Number((await ask<number>(user, `SELECT sum(work_seconds) FROM days WHERE date = '${date}'`)).rows[0]?.[0]) === 5;
    await until(context, 'a late ping to be in the sums of its day', isThere, { everyMs: 50 });
    restated.push(performance.now() - startedAt);
  }
  report.add({
    part,
    what: `late ping to the sums of its day, p50 of ${late}`,
    unit: 'ms',
    ours: percentile(restated, 0.5),
  });
  report.add({ part, what: 'the same, p95', unit: 'ms', ours: percentile(restated, 0.95), goal: '≤ 60,000 ms' });

  /** What agents wait for their answers, a steady stream of them. */
  async function waits(): Promise<number[]> {
    const count = Math.round(options.seconds * pingsPerSecond);
    const startedAt = performance.now();
    const sent: Promise<number>[] = [];
    for (let n = 0; n < count; n++) {
      const dueIn = startedAt + (n * 1_000) / pingsPerSecond - performance.now();
      if (dueIn > 0) await new Promise((resolve) => setTimeout(resolve, dueIn));
      sent.push(post(n % tokens.length, Date.now() - 5_000));
    }
    return Promise.all(sent);
  }
  const alone = await waits();
  let isOver = false;
  let answered = 0;
  let refused = 0;
  let lastRefusal: unknown;
  const analysts = tokens.slice(0, analystsInAll).map(async (_, user) => {
    while (!isOver) {
      await ask(user, dearQuery).then(
        () => answered++,
        (error: unknown) => {
          refused++;
          lastRefusal = error;
        },
      );
    }
  });
  const beside = await waits();
  isOver = true;
  await Promise.all(analysts);
  say(`  analysts: ${answered} queries answered, ${refused} refused`);
  if (answered === 0) throw new Error('no analyst was answered', { cause: lastRefusal });
  for (const [name, share] of [
    ['p50', 0.5],
    ['p95', 0.95],
  ] as const) {
    report.add({
      part,
      what: `a ping's answer beside ${analystsInAll} analysts at their limits, to one without, ${name}`,
      unit: 'ms',
      ours: percentile(beside, share),
      floor: percentile(alone, share),
      ratio: percentile(beside, share) / percentile(alone, share),
    });
  }
  await area.close();
}

async function send<T>(url: string, token: string, body: object): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

const iso = (ms: number): string => new Date(ms).toISOString();
