import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { typesOf } from '@worktide/dashboard-pages';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import {
  goToView,
  lanHost,
  logIn,
  openBrowser,
  openContext,
  openView,
  patienceMs,
  seriousIn,
} from './support/browser.ts';
import { markup, type Staff, staffOfDemo } from './support/dashboard.ts';
import { tokenTo } from './support/mail.ts';
import { invite, makeAgentKey, type Person, ping, post } from './support/people.ts';
import { runToEnd } from './support/processes.ts';
import { type Product, repository, startProduct, temporaryFolder } from './support/product.ts';

/** The dashboard in a real browser, on `npm start` with the organisation of the demo. */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let browser: Browser;
let staff: Staff;
const faults: string[] = [];
const pages = {} as Record<'admin' | 'manager' | 'employee', Page>;
/** What a browser says of an answer that a test means to get. */
const refusals = /Failed to load resource: the server responded with a status of (400|401|409)/;

beforeAll(async () => {
  folder = await temporaryFolder();
  [product, browser] = await Promise.all([startProduct(folder.dir), openBrowser()]);
  staff = await staffOfDemo(product, 3);
  for (const role of ['admin', 'manager', 'employee'] as const) {
    pages[role] = await logIn(await openContext(browser, { origin: product.url, faults }), staff[role]);
  }
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await product?.process.stop();
  await folder?.remove();
});
afterEach(() => {
  expect(faults.splice(0)).toEqual([]);
});

const api = async (as: Person, method: string, at: string, status: number, body?: object): Promise<Json> =>
  expectStatus(await call(product.url, method, `/api/v1${at}`, { bearer: as.accessToken, body }), status);
const dayMs = 86_400_000;
const yesterday = new Date(Date.now() - dayMs).toISOString().slice(0, 10);

/** As pages write seconds. */
function shown(seconds: number): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${Math.floor(seconds / 3_600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

const cells = (page: Page, row: string): Promise<string[]> =>
  page.getByRole('row').filter({ hasText: row }).first().getByRole('cell').allTextContents();

type Role = keyof typeof pages;
const everybody: readonly Role[] = ['admin', 'manager', 'employee'];
const managers: readonly Role[] = ['admin', 'manager'];
const views: readonly (readonly [path: string, heading: string, roles: readonly Role[]])[] = [
  ['/', 'Today', everybody],
  [`/timeline?date=${yesterday}`, 'Timeline', everybody],
  [`/timeline?view=week&date=${yesterday}`, 'Timeline', everybody],
  ['/connect', 'Connect your computer', everybody],
  [`/reports/days?from=${yesterday}&to=${yesterday}`, 'Days', everybody],
  [`/reports/apps?from=${yesterday}&to=${yesterday}`, 'Apps', everybody],
  [`/reports/sites?from=${yesterday}&to=${yesterday}`, 'Sites', everybody],
  [`/reports/hours?from=${yesterday}&to=${yesterday}`, 'Hours of the day', everybody],
  ['/reports/trends', 'Trends', everybody],
  [`/reports/timesheet?from=${yesterday}&to=${yesterday}`, 'Timesheet', everybody],
  [`/reports/team?from=${yesterday}&to=${yesterday}`, 'Team', managers],
  [`/reports/organization?from=${yesterday}&to=${yesterday}`, 'Organisation', managers],
  ['/reports/exports', 'Exports', everybody],
  ['/team', 'Team', managers],
  [`/screenshots?date=${yesterday}`, 'Screenshots', everybody],
  ['/alerts', 'Alerts', everybody],
  ['/projects', 'Projects', everybody],
  ['/tasks', 'Tasks', everybody],
  ['/tasks?view=list', 'Tasks', everybody],
  ['/teams', 'Teams', everybody],
  ['/people', 'People', managers],
  ['/audit', 'Audit', ['admin']],
  ['/sql', 'SQL', managers],
  ['/privacy', 'Privacy', everybody],
  ['/settings/profile', 'Settings', everybody],
  ['/settings/security', 'Settings', everybody],
  ['/settings/agent-keys', 'Settings', everybody],
  ['/settings/notifications', 'Settings', everybody],
  ['/settings/imports', 'Settings', everybody],
  ['/settings/organization', 'Settings', ['admin']],
  ['/settings/webhooks', 'Settings', ['admin']],
];

test('the types of the pages are those of the interface', async () => {
  const document = expectStatus(await call(product.url, 'get', '/api/docs/openapi.json'), 200);
  const written = await readFile(path.join(repository, 'apps/dashboard/src/api/schema.d.ts'), 'utf8');
  expect({ isSame: written === (await typesOf(document)), remedy: 'npm run dashboard:types' }).toEqual({
    isSame: true,
    remedy: 'npm run dashboard:types',
  });
});

describe('every view', () => {
  async function lookAtAll(role: Role): Promise<void> {
    const page = pages[role];
    const found: string[] = [];
    let texts = 0;
    for (const [at, heading, roles] of views) {
      await goToView(page, at, heading);
      const isForbidden = await page.getByText('This page is for managers and administrators.').count();
      expect(`${at} ${isForbidden > 0}`).toBe(`${at} ${!roles.includes(role)}`);
      texts += await page.getByText(markup, { exact: false }).count();
      expect(await page.locator('img[src="x"]').count()).toBe(0);
      // What an administrator sees is what there is.
      if (role === 'admin' || isForbidden > 0) found.push(...(await seriousIn(page)).map((one) => `${at} ${one}`));
    }
    expect(found).toEqual([]);
    expect(texts).toBeGreaterThan(role === 'employee' ? 5 : 15);
    expect(await page.evaluate('window.hacked')).toBeUndefined();
  }

  test('opens, or says that it may not, to each role; text with markup is text; axe finds nothing serious', async () => {
    await Promise.all(everybody.map(lookAtAll));
  }, 180_000);

  test('in the dark, on a phone and in German: as good, and nothing is wider than the screen', async () => {
    const context = await openContext(browser, { origin: product.url, faults, locale: 'de-DE' });
    const page = await context.newPage();
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto('/login');
    await page.getByLabel('E-Mail').fill(staff.employee.email);
    await page.getByLabel('Passwort').fill(staff.employee.password);
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await page.locator('main#main').waitFor();
    for (const [at, heading] of [
      ['/', 'Heute'],
      [`/timeline?date=${yesterday}`, 'Zeitachse'],
      [`/reports/days?from=${yesterday}&to=${yesterday}`, 'Tage'],
      ['/tasks', 'Aufgaben'],
      ['/privacy', 'Datenschutz'],
      ['/settings/agent-keys', 'Einstellungen'],
    ] as const) {
      await openView(page, at, heading);
      expect(await page.evaluate('document.documentElement.lang')).toBe('de');
      expect(`${at} ${await page.evaluate('document.documentElement.scrollWidth - innerWidth')}`).toBe(`${at} 0`);
      expect((await seriousIn(page)).map((one) => `${at} ${one}`)).toEqual([]);
      // What services say themselves, too.
      if (at === '/privacy') {
        const said = (await page.getByRole('table').textContent())!;
        expect(said).toContain('Titel von Fenstern.');
        expect(said).not.toMatch(/\b(the|of|which|never|nothing|days|my|and)\b/i);
      }
    }
    await context.close();
  }, 60_000);
});

describe('a newcomer', () => {
  test('registers, copies one line, and sees the first activity come', async () => {
    const context = await openContext(browser, { origin: product.url, faults });
    const page = await context.newPage();
    await page.goto('/register');
    await page.getByLabel('Organisation').fill(`Fresh ${markup}`);
    await page.getByLabel('Your name').fill(`Nia ${markup}`);
    await page.getByLabel('E-mail').fill('nia@example.com');
    await page.getByLabel('Password').fill('a long enough phrase');
    expect(await seriousIn(page)).toEqual([]);
    await page.getByRole('button', { name: 'Register' }).click();
    await page.getByRole('button', { name: 'Make a key' }).click();
    const line = await page.getByTestId('agent-line').textContent();
    await page.getByText('Waiting for the first activity').waitFor();
    // The key goes in a header, so it is in no list of processes; the line is run as a person would.
    expect(await runToEnd('bash', ['-c', line!])).toMatchObject({
      code: 0,
      output: expect.stringContaining('"accepted":1'),
    });
    await page.getByText('First activity received').waitFor();
    await context.close();
  }, 60_000);

  test('forgets the password, sets another by the mail, and is told what is wrong', async () => {
    const context = await openContext(browser, { origin: product.url, faults, ignore: refusals });
    const page = await context.newPage();
    await page.goto('/forgot-password');
    await page.getByLabel('E-mail').fill('nia@example.com');
    await page.getByRole('button', { name: 'Send me a link' }).click();
    await page.getByRole('status').getByText('is on its way').waitFor();
    await page.goto(`/reset-password?token=${await tokenTo(product, 'nia@example.com')}`);
    await page.getByLabel('New password').fill('another long phrase');
    await page.getByRole('button', { name: 'Set the password' }).click();
    await page.getByLabel('E-mail').fill('nia@example.com');
    await page.getByLabel('Password').fill('a long enough phrase');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('The address or the password is wrong.').waitFor();
    await page.getByLabel('Password').fill('another long phrase');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { level: 1, name: 'Today' }).waitFor();
    await context.close();
  }, 60_000);

  test('follows an invitation', async () => {
    const page = pages.manager;
    await openView(page, '/people', 'People');
    await page.getByRole('button', { name: 'Invite' }).click();
    await page.getByRole('dialog').getByLabel('E-mail').fill('kim@example.com');
    await page.getByRole('button', { name: 'Send the invitation' }).click();
    await page.getByRole('cell', { name: 'kim@example.com' }).waitFor();
    const context = await openContext(browser, { origin: product.url, faults });
    const theirs = await context.newPage();
    await theirs.goto(`/accept-invitation?token=${await tokenTo(product, 'kim@example.com')}`);
    await theirs.getByLabel('Your name').fill('Kim');
    await theirs.getByLabel('Password').fill('a long enough phrase');
    await theirs.getByRole('button', { name: 'Join' }).click();
    await theirs.getByRole('heading', { name: 'Connect your computer', level: 1 }).waitFor();
    await context.close();
  }, 60_000);
});

describe('numbers', () => {
  /** The last day within reach on which clocks somewhere were changed, with that zone; else a day in one with odd minutes. */
  function strangeDay(): { date: string; zone: string; hours: number } {
    for (let back = 2; back < 80; back++) {
      for (const zone of [
        'Europe/Berlin',
        'America/New_York',
        'Australia/Sydney',
        'America/Santiago',
        'Africa/Cairo',
      ]) {
        const offset = (at: number): string =>
          new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' })
            .format(at)
            .replace(/^\D*[^,]*, /, '');
        const noon = Math.floor(Date.now() / dayMs) * dayMs - back * dayMs + dayMs / 2;
        if (offset(noon) !== offset(noon - dayMs)) {
          const minutes = (text: string): number => {
            const [, sign, hour, minute] = /([+-])(\d+):(\d+)/.exec(text) ?? [];
            return hour ? (sign === '-' ? -1 : 1) * (Number(hour) * 60 + Number(minute)) : 0;
          };
          const hours = 24 - (minutes(offset(noon)) - minutes(offset(noon - dayMs))) / 60;
          return { date: new Date(noon).toISOString().slice(0, 10), zone, hours };
        }
      }
    }
    // Not yesterday: what is sent reaches into the day after.
    return { date: new Date(Date.now() - 3 * dayMs).toISOString().slice(0, 10), zone: 'Asia/Kathmandu', hours: 24 };
  }

  test('are those of the reports to the second, on a day of 23 or 25 hours as well', async () => {
    const { date, zone } = strangeDay();
    const start = Date.parse(`${date}T00:00:00Z`);
    await post(product.url, staff.key, [
      // From the hours in which clocks change, to the middle of the next day.
      ...Array.from({ length: 40 }, (_, n) =>
        ping(n % 2 ? 'Editor' : 'Firefox', { at: start - 43_200_000 + n * 3_599_000, seconds: 1_801 + n }),
      ),
    ]);
    const page = pages.manager;
    const { userId } = staff.employee;
    const query = `from=${date}&to=${date}&timezone=${zone}&userId=${userId}`;
    let day: Json;
    await until('the report of that day', async () => {
      day = (await api(staff.manager, 'get', `/reports/daily?${query}`, 200)).items[0];
      return day.activeSeconds > 36_000;
    });
    const search = `userId=${userId}&zone=${encodeURIComponent(zone)}`;
    await openView(page, `/timeline?date=${date}&${search}`, 'Timeline');
    await page.getByTestId('figures').getByText(shown(day.activeSeconds)).first().waitFor();
    const figures = await page.getByTestId('figures').locator('[data-figure]').allTextContents();
    expect(figures.slice(0, 3)).toEqual([day.workSeconds, day.activeSeconds, day.idleSeconds].map(shown));
    await openView(page, `/reports/days?from=${date}&to=${date}&${search}`, 'Days');
    expect((await cells(page, 'Σ')).slice(1, 4)).toEqual(
      [day.workSeconds, day.activeSeconds, day.idleSeconds].map(shown),
    );
    // Made in the page from entries, and still the same.
    await openView(page, `/reports/hours?from=${date}&to=${date}&${search}`, 'Hours of the day');
    expect(await page.getByRole('row').nth(1).getByRole('cell').last().textContent()).toBe(shown(day.activeSeconds));
    const apps = await api(staff.manager, 'get', `/reports/apps?${query.replace(/from=[^&]+&to=/, 'date=')}`, 200);
    await openView(page, `/reports/apps?from=${date}&to=${date}&${search}`, 'Apps');
    for (const { app, seconds } of apps.items) expect((await cells(page, app)).at(-1)).toBe(shown(seconds));
  }, 60_000);

  test('of the team, the organisation and the timesheet too', async () => {
    const page = pages.admin;
    const range = `from=${yesterday}&to=${yesterday}`;
    const { items } = await api(staff.admin, 'get', `/reports/team?${range}&timezone=UTC`, 200);
    await openView(page, `/reports/team?${range}&zone=UTC`, 'Team');
    for (const one of items.filter(({ activeSeconds }: Json) => activeSeconds > 0)) {
      const { workSeconds, activeSeconds, idleSeconds } = one;
      expect((await cells(page, one.name)).slice(1, 4)).toEqual([workSeconds, activeSeconds, idleSeconds].map(shown));
    }
    const { totals } = await api(staff.admin, 'get', `/reports/organization?${range}&timezone=UTC`, 200);
    await openView(page, `/reports/organization?${range}&zone=UTC`, 'Organisation');
    for (const seconds of [totals.workSeconds, totals.activeSeconds, totals.idleSeconds]) {
      expect(await page.getByText(shown(seconds), { exact: true }).count()).toBeGreaterThan(0);
    }
    const sheet = await api(staff.employee, 'get', `/reports/timesheet?${range}&timezone=UTC`, 200);
    expect(sheet.trackedSeconds).toBeGreaterThanOrEqual(7_201);
    await openView(pages.employee, `/reports/timesheet?${range}&zone=UTC`, 'Timesheet');
    expect((await cells(pages.employee, 'Σ')).at(-1)).toBe(shown(sheet.trackedSeconds));
  }, 60_000);
});

describe('what people do', () => {
  /** The newest message that says so. */
  const undo = (page: Page, text: string): Promise<void> =>
    page
      .getByRole('region', { name: 'Messages' })
      .getByText(text)
      .last()
      .locator('..')
      .getByRole('button', { name: 'Undo' })
      .click();

  test('time: a timer, an entry by keyboard, another by drawing, a correction, and the way back', async () => {
    const page = pages.employee;
    const date = new Date(Date.now() - 3 * dayMs).toISOString().slice(0, 10);
    const entries = async (): Promise<Json[]> => {
      const range = `from=${date}T00:00:00.000Z&to=${date}T23:59:59.000Z`;
      return (await api(staff.employee, 'get', `/time-entries?${range}`, 200)).items;
    };
    await openView(page, `/timeline?date=${date}`, 'Timeline');
    await page.getByRole('region', { name: 'Running timer' }).getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Start a timer' }).waitFor();

    // By keyboard alone.
    await page.getByRole('button', { name: 'Add time' }).focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Begin').fill('09:00');
    await dialog.getByLabel('End').fill('10:30');
    await dialog.getByLabel('What are you working on?').fill(`Typed ${markup}`);
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    await until('the entry', async () => (await entries()).length === 1);
    expect((await entries())[0]).toMatchObject({ workedSeconds: 5_400, description: `Typed ${markup}` });

    // By arrow keys on its end: ten minutes longer; and back.
    const end = page.getByRole('slider', { name: /^End/ });
    await end.focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await until('the correction', async () => (await entries())[0]!.workedSeconds === 6_000);
    await undo(page, 'The entry was corrected.');
    await until('the way back', async () => (await entries())[0]!.workedSeconds === 5_400);

    // By drawing over empty time.
    const lane = page.getByTestId('entry-lane');
    const box = (await lane.boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2, { steps: 4 });
    await page.mouse.up();
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    await until('the drawn entry', async () => (await entries()).length === 2);
    await undo(page, 'The entry was added.');
    await until('that it is gone', async () => (await entries()).length === 1);

    // What cannot be is said where it was asked for.
    await page.getByRole('button', { name: 'Add time' }).click();
    await dialog.getByLabel('Begin').fill('10:00');
    await dialog.getByLabel('End').fill('09:00');
    await dialog.getByText('The end is after the begin.').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Start a timer' }).click();
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await page.getByRole('timer').waitFor();
  }, 60_000);

  test('a ping shows on the page of a manager within three seconds', async () => {
    const page = pages.manager;
    const people = [];
    for (const name of ['one', 'two', 'three'])
      people.push(await invite(product, staff.admin, 'employee', `live-${name}`));
    await openView(page, '/team', 'Team');
    const seen: boolean[] = [];
    // One of three, for a machine may be busy with something else at any moment.
    for (const person of people) {
      const { key } = await makeAgentKey(product.url, person, 'live');
      const row = page.locator(`[data-person="${person.userId}"]`);
      await row.getByText('Offline').waitFor();
      await post(product.url, key, ping('Editor', { at: Date.now() - 1_000, seconds: 1 }));
      seen.push(
        await row
          .getByText('Online')
          .waitFor({ timeout: 3_000 })
          .then(
            () => true,
            () => false,
          ),
      );
      if (seen.at(-1)) break;
    }
    expect(seen).toContain(true);
  }, 60_000);

  test('a report goes into a file', async () => {
    const page = pages.admin;
    await openView(page, `/reports/days?from=${yesterday}&to=${yesterday}`, 'Days');
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'CSV' }).click();
    const link = page.getByRole('link', { name: /Download daily/ });
    await link.waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    expect(await readFile(await download.path(), 'utf8')).toContain(yesterday);
  }, 60_000);

  test('screenshots: looked at by keyboard, deleted', async () => {
    const page = pages.admin;
    let date = '';
    await until('a day with pictures that are ready', async () => {
      const { items } = await api(staff.admin, 'get', `/screenshots?limit=50&userId=${staff.admin.userId}`, 200);
      date = items[0]?.capturedAt.slice(0, 10);
      return items.length > 1 && items.every(({ status }: Json) => status !== 'pending');
    });
    await openView(page, `/screenshots?date=${date}`, 'Screenshots');
    const pictures = page.getByRole('button', { name: /^Screenshots: / });
    const before = await pictures.count();
    expect(before).toBeGreaterThan(1);
    await pictures.first().focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    const picture = dialog.getByRole('img');
    const first = await picture.getAttribute('src');
    expect(
      await picture.evaluate((one: { decode(): Promise<void>; naturalWidth: number }) =>
        one.decode().then(() => one.naturalWidth),
      ),
    ).toBeGreaterThan(0);
    await page.keyboard.press('ArrowRight');
    await until('the next picture', async () => (await picture.getAttribute('src')) !== first);
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await dialog.getByRole('button', { name: 'Delete for good' }).click();
    await until('that it is gone', async () => (await pictures.count()) === before - 1);
  }, 60_000);

  test('projects, tasks and teams are made and moved; alerts are resolved', async () => {
    const page = pages.manager;
    const dialog = page.getByRole('dialog');
    await openView(page, '/projects', 'Projects');
    await page.getByRole('button', { name: 'New project' }).click();
    await dialog.getByLabel('Name').fill('Garden');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('link', { name: 'Garden' }).click();
    await page.getByRole('button', { name: 'New task' }).click();
    await dialog.getByLabel('Title').fill('Water the garden');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByLabel('State of Water the garden').selectOption('in_progress');
    const column = page.getByRole('region', { name: 'In progress' });
    await column.getByRole('button', { name: 'Water the garden' }).waitFor();
    // And by drag.
    await column
      .getByRole('listitem')
      .filter({ hasText: 'Water' })
      .dragTo(page.getByRole('region', { name: 'Done' }));
    await page.getByRole('region', { name: 'Done' }).getByRole('button', { name: 'Water the garden' }).waitFor();
    await openView(page, '/teams', 'Teams');
    await page.getByRole('button', { name: 'New team' }).click();
    await dialog.getByLabel('Name').fill('Gardeners');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'Members of Gardeners' }).click();
    await dialog.getByLabel('Add a person').selectOption(staff.employee.userId);
    await dialog.getByRole('button', { name: 'Add' }).click();
    await dialog.getByRole('listitem').filter({ hasText: 'Lin' }).waitFor();
    await page.keyboard.press('Escape');
    await openView(page, '/alerts', 'Alerts');
    // It comes by itself, while the page is open.
    const startTime = new Date(Date.now() - 1_200_000).toISOString();
    await api(staff.manager, 'post', '/time-entries', 201, { startTime });
    await page.getByRole('button', { name: 'Resolve', exact: true }).first().click();
    await page.getByText('The alert is resolved.').waitFor();
  }, 60_000);

  test('an administrator asks by SQL, looks into the audit, changes the rules, and takes a key and a webhook', async () => {
    const page = pages.admin;
    await openView(page, '/sql', 'SQL');
    await page.getByLabel('One SELECT over the views').fill('SELECT count() AS people FROM people');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('columnheader', { name: 'people' }).waitFor();
    await openView(page, '/audit?action=user.logged-in', 'Audit');
    await page.getByRole('button', { name: 'user.logged-in' }).first().click();
    await page.getByText('"sessionId"').first().waitFor();
    await openView(page, '/privacy', 'Privacy');
    await page.getByRole('button', { name: 'Add a rule' }).click();
    await page.getByLabel('Apps, with commas between').fill('KeePass*, Bank*');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByText('What these rules would have taken').waitFor();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The rules hold from now on.').waitFor();
    expect((await api(staff.admin, 'get', '/organization/privacy', 200)).rules[0].apps).toEqual(['KeePass*', 'Bank*']);
    await page.getByRole('button', { name: '1 hour' }).click();
    await page.getByText('Nothing is recorded of you until').waitFor();
    await page.getByRole('button', { name: 'End the pause' }).click();
    await page.getByRole('button', { name: '1 hour' }).waitFor();
    await openView(page, '/settings/agent-keys', 'Settings');
    await page.getByLabel('Name of the device').fill(`Laptop ${markup}`);
    await page.getByRole('button', { name: 'Make a key' }).click();
    await page.getByText(/^waka_/).waitFor();
    await page
      .getByRole('row')
      .filter({ hasText: `Laptop ${markup}` })
      .getByRole('button', { name: 'Revoke' })
      .click();
    await page.getByText('The key is revoked.').waitFor();
    await openView(page, '/settings/webhooks', 'Settings');
    await page.getByLabel('Address').fill('https://hooks.example.com/worktide');
    await page.getByRole('button', { name: 'Add' }).click();
    await page.getByText('Its secret, shown only now:').waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('No webhooks.').waitFor();
    await openView(page, '/settings/profile', 'Settings');
    await page.getByLabel('Your name').fill('Ada King');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
  }, 60_000);
});

test('history comes along: looked at, imported, taken out again', async () => {
  const page = pages.employee;
  await openView(page, '/settings/imports', 'Settings');
  const events = [{ timestamp: `${yesterday}T20:00:00.000Z`, duration: 600, data: { app: 'Diary', title: markup } }];
  const id = 'aw-watcher-window_old-laptop';
  const about = { id, type: 'currentwindow', client: 'aw-watcher-window', hostname: 'old-laptop' };
  const buckets = { [id]: { ...about, created: `${yesterday}T00:00:00.000Z`, events } };
  const buffer = Buffer.from(JSON.stringify({ buckets }));
  const file = { name: `${markup}.json`, mimeType: 'application/json', buffer };
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByRole('button', { name: 'Look at it' }).click();
  await page.getByText('1 of 1 rows can be imported.').waitFor();
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  const out = page.getByRole('button', { name: 'Take all of it out again' });
  await out.waitFor();
  const diary = async (): Promise<boolean> => {
    const { items } = await api(staff.employee, 'get', `/reports/apps?date=${yesterday}&timezone=UTC`, 200);
    return items.some(({ app }: Json) => app === 'Diary');
  };
  await until('what was imported', diary);
  await out.click();
  await until('that it is gone', async () => !(await diary()));
}, 60_000);

describe('a session', () => {
  const stored = (page: Page): Promise<string> =>
    page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage })');
  const atTheDoor = (page: Page): Promise<void> => page.getByRole('button', { name: 'Log in' }).waitFor();
  let context: BrowserContext;

  test('is in two tabs at once, goes on when both begin anew, and leaves both with one log-out', async () => {
    context = await openContext(browser, { origin: product.url, faults });
    const first = await logIn(context, staff.employee);
    const second = await context.newPage();
    await openView(second, '/tasks', 'Tasks');
    await Promise.all([first.reload(), second.reload(), first.waitForLoadState(), second.waitForLoadState()]);
    for (const page of [first, second]) await page.locator('main#main').waitFor();
    const cookies = await context.cookies(`${product.url}/api/v1/auth/refresh`);
    expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict' }]);
    expect(await first.evaluate('document.cookie')).toBe('');
    await first.getByRole('button', { name: /^Account/ }).click();
    await first.getByRole('menuitem', { name: 'Log out' }).click();
    for (const page of [first, second]) {
      await atTheDoor(page);
      expect(await stored(page)).toBe('{}');
    }
    await first.goto('/people');
    await atTheDoor(first);
    await context.close();
  }, 60_000);

  test('that is ended elsewhere leaves by itself', async () => {
    context = await openContext(browser, { origin: product.url, faults, ignore: refusals });
    const page = await logIn(context, staff.employee);
    await openView(page, '/projects', 'Projects');
    const { items } = await api(staff.employee, 'get', '/auth/sessions', 200);
    expect(items[0].deviceName).toMatch(/^Chrome/);
    await api(staff.employee, 'delete', `/auth/sessions/${items[0].id}`, 204);
    await atTheDoor(page);
    expect(page.url()).toContain('next=%2Fprojects');
    expect(await stored(page)).toBe('{}');
    await context.close();
  }, 60_000);

  test('works within a network without TLS, where browsers give pages less', async () => {
    const origin = product.url.replace('127.0.0.1', lanHost);
    const ignore = /^The Cross-Origin-Opener-Policy header has been ignored/;
    context = await openContext(browser, { origin, faults, ignore });
    const page = await logIn(context, staff.employee);
    expect(await page.evaluate('isSecureContext')).toBe(false);
    await page.reload();
    await page.locator('main#main').waitFor();
    await openView(page, '/connect', 'Connect your computer');
    await page.getByRole('button', { name: 'Make a key' }).click();
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    await context.close();
  }, 60_000);

  test('offline it says so, and comes back', async () => {
    context = await openContext(browser, { origin: product.url, faults, ignore: /ERR_INTERNET_DISCONNECTED/ });
    const page = await logIn(context, staff.employee);
    await context.setOffline(true);
    await page.getByText('You are offline.').waitFor({ timeout: patienceMs });
    await context.setOffline(false);
    await page.getByText('You are offline.').waitFor({ state: 'detached' });
    await openView(page, '/tasks', 'Tasks');
    await context.close();
  }, 60_000);
});
