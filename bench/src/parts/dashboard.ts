import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium as chromiumPath, freePort, startEngine } from '@worktide/backends';
import { uuidv7 } from '@worktide/runtime';
import { chromium, type Page } from 'playwright-core';
import { type Context, until } from '../context.ts';
import { median } from '../statistics.ts';

const part = 'dashboard';
const dayMs = 86_400_000;
const entriesOfDay = 5_000;
const email = 'bench@example.com';
const password = 'correct horse battery';

/** What is read of answers; each has some of it. */
interface Answer {
  accessToken: string;
  key: string;
  items: { workSeconds: number }[];
}

/** The largest paint of a page, in ms since it was asked for. */
const largestPaint = `new Promise((resolve) => {
  let last = 0;
  new PerformanceObserver((list) => { last = list.getEntries().at(-1).startTime; })
    .observe({ type: 'largest-contentful-paint', buffered: true });
  setTimeout(() => resolve(last), 1_500);
})`;

/** The longest time between two frames while something moves, in ms. */
const watchFrames = `(() => {
  window.longest = 0;
  let before = performance.now();
  const frame = (now) => {
    window.longest = Math.max(window.longest, now - before);
    before = now;
    window.watching = requestAnimationFrame(frame);
  };
  window.watching = requestAnimationFrame(frame);
})()`;

/** What a person waits for in a browser, on `npm start`: the first paint of a page, and frames of a day with 5,000 entries. */
export async function dashboard(context: Context): Promise<void> {
  const { report, options, lifecycle, dir, say } = context;
  const own = path.join(dir, 'dashboard');
  await mkdir(own, { recursive: true });
  const url = await startProduct(own, lifecycle);
  const call = async (method: string, at: string, bearer?: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${url}/api/v1${at}`, {
      method,
      headers: { 'content-type': 'application/json', ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${at} was answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Answer;
  };
  const register = { email, password, name: 'Bench', organizationName: 'Bench', timezone: 'UTC' };
  const { accessToken } = await call('POST', '/auth/register', undefined, register);
  const { key } = await call('POST', '/auth/agent-keys', accessToken, { name: 'bench' });
  const count = Math.round(entriesOfDay * options.scale);
  const day = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
  const date = new Date(day).toISOString().slice(0, 10);
  const lengthMs = Math.floor(dayMs / count);
  for (let n = 0; n < count; n += 500) {
    const pings = Array.from({ length: Math.min(500, count - n) }, (_, i) => ({
      id: uuidv7(),
      // Two neighbours of one app would be one entry.
      app: `App ${(n + i) % 23}`,
      url: `https://host-${(n + i) % 17}.example.com/`,
      startedAt: new Date(day + (n + i) * lengthMs).toISOString(),
      endedAt: new Date(day + (n + i + 1) * lengthMs).toISOString(),
    }));
    await call('POST', '/pings', key, pings);
  }
  await until(context, 'all entries of the day', async () => {
    const { items } = await call('GET', `/reports/daily?date=${date}&timezone=UTC`, accessToken);
    return items[0]!.workSeconds >= Math.floor((count * lengthMs) / 1_000) - 1;
  });

  const browser = await chromium.launch({ executablePath: await chromiumPath(), args: ['--no-sandbox'] });
  try {
    const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
    const paints = async (at: string): Promise<number> => {
      const all: number[] = [];
      for (let round = 0; round < options.rounds; round++) {
        await page.goto(url + at);
        all.push(await page.evaluate<number>(largestPaint));
      }
      return median(all);
    };
    report.add({
      part,
      what: 'largest paint of the log-in',
      unit: 'ms',
      ours: await paints('/login'),
      goal: '≤ 1,500',
    });
    await page.goto(`${url}/login`);
    await page.locator('input[name=email]').fill(email);
    await page.locator('input[name=password]').fill(password);
    await page.locator('button[type=submit]').click();
    await page.locator('main#main').waitFor();
    report.add({ part, what: 'largest paint of today', unit: 'ms', ours: await paints('/'), goal: '≤ 1,500' });

    await page.goto(`${url}/timeline?date=${date}`);
    await page.locator('canvas').first().waitFor();
    const longest = await longestFrame(page);
    say(`  longest frame of a day with ${count} entries: ${Math.round(longest)} ms`);
    report.add({ part, what: `longest frame, ${count} entries`, unit: 'ms', ours: longest, goal: '≤ 100' });
  } finally {
    await browser.close();
  }
}

/** Zooms in and out and scrolls through the day, as somebody looking for something does. */
async function longestFrame(page: Page): Promise<number> {
  const day = page.getByRole('region', { name: 'The day, hour by hour' });
  await day.hover();
  await page.evaluate(watchFrames);
  for (const name of ['Zoom in', 'Zoom in', 'Zoom in', 'Zoom in', 'Zoom out', 'Zoom out']) {
    await page.getByRole('button', { name }).click();
    await day.hover();
    for (let n = 0; n < 10; n++) await page.mouse.wheel(n < 7 ? 400 : -600, 0);
  }
  return page.evaluate<number>('cancelAnimationFrame(window.watching), window.longest');
}

/** As `npm start` does it; its port is its own. */
async function startProduct(dir: string, lifecycle: Context['lifecycle']): Promise<string> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const engine = await startEngine({
    name: 'npm-start',
    url,
    command: process.execPath,
    args: [fileURLToPath(new URL('../../../tools/standalone/src/main.ts', import.meta.url))],
    env: {
      NODE_ENV: 'production',
      WORKTIDE_PORT: String(port),
      WORKTIDE_DATA: path.join(dir, 'data'),
      WORKTIDE_CLICKHOUSE_PORT: '0',
    },
    dir,
    stopSignal: 'SIGINT',
    ready: (printed) => printed.includes('Worktide is ready'),
    onUnexpectedEnd: () => {},
  });
  lifecycle.onClose('npm start', () => engine.stop());
  return url;
}
