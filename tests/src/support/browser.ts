import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium as chromiumPath } from '@worktide/backends';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Person } from './people.ts';

/** How long a page may take for what a test waits for: no promise, only the end of patience. */
export const patienceMs = 30_000;

/** A name that a browser trusts no more than any other without TLS; it leads to this machine. */
export const lanHost = 'worktide.lan';

export const openBrowser = async (): Promise<Browser> =>
  // Tests run as root in containers, where Chromium's own sandbox does not.
  chromium.launch({
    executablePath: await chromiumPath(),
    args: ['--no-sandbox', `--host-resolver-rules=MAP ${lanHost} 127.0.0.1`],
  });

/** A browser of its own, whose faults are noted: the console's errors, what nobody caught, and breaches of the policy. */
export async function openContext(
  browser: Browser,
  options: { origin: string; faults: string[]; locale?: string; ignore?: RegExp },
): Promise<BrowserContext> {
  const { origin, faults, locale = 'en-GB', ignore } = options;
  const context = await browser.newContext({
    baseURL: origin,
    locale,
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
    viewport: { width: 1280, height: 900 },
  });
  context.setDefaultTimeout(patienceMs);
  await context.addInitScript(`document.addEventListener('securitypolicyviolation', (event) =>
    console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample))`);
  const note = (page: Page, text: string): void => {
    // "Later", from a product on a busy machine: pages ask again, and a browser tells of it all the same.
    if (/Failed to load resource: .* status of 503/.test(text)) return;
    if (!ignore?.test(text)) faults.push(`${new URL(page.url()).pathname}: ${text}`);
  };
  context.on('page', (page) => {
    page.on('console', (message) => {
      if (message.type() === 'error') note(page, `${message.text()} ${message.location().url}`);
    });
    page.on('pageerror', (error) => note(page, `nobody caught ${error.message}`));
    page.on('dialog', (dialog) => {
      note(page, `dialog ${dialog.message()}`);
      void dialog.dismiss();
    });
  });
  return context;
}

export async function logIn(
  context: BrowserContext,
  { email, password }: Pick<Person, 'email' | 'password'>,
): Promise<Page> {
  const page = await context.newPage();
  await page.goto('/login');
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('main#main').waitFor();
  return page;
}

/** Opens a view anew, as by a link from elsewhere, and waits until nothing of it is still loading. */
export async function openView(page: Page, path: string, heading: string): Promise<void> {
  await page.goto(path);
  await untilShown(page, heading);
}

/** Goes on to a view, as by a link within the application. */
export async function goToView(page: Page, path: string, heading: string): Promise<void> {
  await page.evaluate(
    `history.pushState({}, '', ${JSON.stringify(path)}), dispatchEvent(new PopStateEvent('popstate'))`,
  );
  await page.locator(`main[data-shown="${path}"]`).waitFor();
  await untilShown(page, heading);
}

async function untilShown(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
  await page.getByRole('status', { name: 'Loading' }).first().waitFor({ state: 'detached' });
}

interface Violation {
  id: string;
  impact: string | null;
  nodes: string[];
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds serious or worse in a page: rule and element. */
export async function seriousIn(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const found = await page.evaluate<Violation[]>(`axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'],
    resultTypes: ['violations'],
  }).then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(({ html }) => html) })))`);
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.slice(0, 3).map((html) => `${id}: ${html.slice(0, 200)}`));
}
