import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import { type Person, passwordOfAll, register, usageOf } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';
import { pictureOf } from './support/screenshots.ts';

/** Hubnity's desktop, against the product as `npm start` runs it: what its window and its sync queue send, and what they read of it. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
let person: Person;

beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir, { TRUSTED_PROXIES: '1' });
  person = await register(product.url);
}, 120_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

test('a day with the desktop', async () => {
  const { url } = product;
  const send = (method: 'get' | 'post' | 'put', path: string, body?: unknown, headers = {}) =>
    call(url, method, `/api${path}`, {
      ...(body === undefined ? {} : { body }),
      headers: { 'content-type': 'application/json', ...headers },
    });
  const refused = await send('post', '/auth/login', { email: person.email, password: 'mistyped-passw0rd' });
  expect([refused.status, typeof refused.body.message]).toEqual([401, 'string']);
  const credentials = { email: person.email, password: passwordOfAll };
  const { user, access_token, refresh_token } = expectStatus(
    await send('post', '/auth/login', credentials, { 'x-forwarded-for': '203.0.113.9' }),
    200,
  );
  expect(user).toMatchObject({
    id: person.userId,
    role: 'ADMIN',
    status: 'ACTIVE',
    companyId: person.organizationId,
    company: { id: person.organizationId },
  });
  const { items: sessions } = expectStatus(
    await call(url, 'get', '/api/v1/auth/sessions', { bearer: access_token }),
    200,
  );
  expect(sessions.find(({ current }: Json) => current)).toMatchObject({
    deviceName: 'Hubnity',
    ipAddress: '203.0.113.9',
  });
  const authorization = `Bearer ${access_token}`;
  const as = (method: 'get' | 'post' | 'put', path: string, body?: unknown, headers = {}) =>
    send(method, path, body, { authorization, ...headers });

  const details = { color: '#ff8800', clientName: 'ACME', budgetSeconds: 36_000 };
  const made = { bearer: person.accessToken, body: { name: 'Moon', ...details } };
  const { id: projectId } = expectStatus(await call(url, 'post', '/api/v1/projects', made), 201);
  const [project] = expectStatus(await as('get', '/projects'), 200);
  expect(project).toMatchObject({ id: projectId, name: 'Moon', color: '#ff8800', clientName: 'ACME', budget: 10 });

  // The sync queue: a key that it makes from the payload, so of every start of this project the same one.
  const queued = { 'x-app-version': '0.1.42', 'x-idempotency-key': 'time_entry_start-8c1f0e6bd2a94537' };
  const payload = { projectId, userId: user.id, description: 'Work on project Moon' };
  expect(expectStatus(await as('get', '/time-entries/active'), 200)).toEqual([]);
  const entry = expectStatus(await as('post', '/time-entries', payload, queued), 201);
  expect(entry).toMatchObject({ userId: user.id, projectId, status: 'RUNNING', endTime: null });
  expect(entry.project).toEqual({ id: projectId, name: 'Moon', color: '#ff8800' });
  expect(expectStatus(await as('post', '/time-entries', payload, queued), 201).id).toBe(entry.id);
  expect(expectStatus(await as('get', '/time-entries/active'), 200)).toMatchObject([
    { id: entry.id, status: 'RUNNING' },
  ]);

  /** As the queue drops a task, and the window goes on. */
  const refusedWith = async (answer: Promise<{ status: number; body: Json }>, text: string) => {
    const { status, body } = await answer;
    expect({ status, message: body.message }).toEqual({ status: 400, message: expect.stringContaining(text) });
  };
  const step = (name: string, id = entry.id) => as('put', `/time-entries/${id}/${name}`, {});
  await refusedWith(as('post', '/time-entries', payload), 'User already has an active time entry');
  await refusedWith(step('resume'), 'Only paused entries can be resumed');

  expectStatus(await as('post', '/idle/heartbeat', { isActive: true }), 200);
  const visit = (address: string, timeSpent: number) => {
    const { hostname: domain } = new URL(address);
    return { timeEntryId: entry.id, url: address, domain, title: `Title of ${domain}`, timeSpent };
  };
  const pages = [visit('https://one.example/a', 30), visit('https://two.example/b', 20)];
  const visits = await as('post', '/url-activity/batch', {
    activities: [...pages, { ...pages[0], url: 'about:blank' }],
  });
  expect(expectStatus(visits, 201)).toMatchObject({ count: 2, skipped: 1 });
  const seen = await until('both pages', async () => {
    const usage = (await usageOf(url, person.accessToken)).filter(
      ({ deviceId, host }) => deviceId === 'hubnity' && host,
    );
    return usage.length === 2 && usage.sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
  });
  expect(seen.map(({ host, seconds, app }) => [host, seconds, app])).toEqual([
    ['one.example', 30, 'Browser'],
    ['two.example', 20, 'Browser'],
  ]);
  expect(seen[0]!.endedAt).toBe(seen[1]!.startedAt);
  expectStatus(await as('post', '/idle/heartbeat', { isActive: false }), 200);

  const imageData = `data:image/jpeg;base64,${(await pictureOf(1)).toString('base64')}`;
  const picture = { imageData, timeEntryId: entry.id };
  const shot = expectStatus(await as('post', '/screenshots', picture), 201);
  expect(expectStatus(await as('post', '/screenshots', picture), 201).id).toBe(shot.id);
  const [listed] = await until('the picture', async () => {
    const list = expectStatus(await as('get', `/screenshots/time-entry/${entry.id}`), 200);
    return list.length > 0 && list;
  });
  expect(listed).toMatchObject({ id: shot.id, timeEntryId: entry.id, userId: user.id });
  for (const link of [listed.imageUrl, listed.thumbnailUrl]) {
    // One that begins with a slash the desktop would ask its own maker for.
    expect(link).toMatch(/^https?:/);
    expect((await fetch(link)).status).toBe(200);
  }
  await refusedWith(as('post', '/screenshots', { ...picture, imageData: 'data:image/jpeg;base64,QUJD' }), 'Invalid');

  expect(expectStatus(await step('pause'), 200)).toMatchObject({ id: entry.id, status: 'PAUSED' });
  await refusedWith(step('pause'), 'Only running entries can be paused');
  expect(expectStatus(await as('post', '/time-entries', payload, queued), 201)).toMatchObject({
    id: entry.id,
    status: 'PAUSED',
  });
  expect(expectStatus(await step('resume'), 200).status).toBe('RUNNING');
  expect(expectStatus(await step('stop'), 200)).toMatchObject({ status: 'STOPPED', endTime: expect.any(String) });
  await refusedWith(step('stop'), 'Time entry is already stopped');
  await refusedWith(step('pause'), 'Only running entries can be paused');
  expect((await step('stop', 'temp-1763')).body).toMatchObject({ statusCode: 404, message: 'Time entry not found' });
  // The next start of the project has the key of the first.
  const next = expectStatus(await as('post', '/time-entries', payload, queued), 201);
  expect(next.id).not.toBe(entry.id);
  expectStatus(await step('stop', next.id), 200);

  // The window and the queue each spend the token that they were given.
  const refresh = () => send('post', '/auth/refresh', { refresh_token });
  const answers = await Promise.all([refresh(), refresh()]);
  for (const answer of [...answers, await refresh()]) {
    const tokens = expectStatus(answer, 200);
    expect(tokens.refresh_token).toBe(refresh_token);
    expectStatus(await send('get', '/projects', undefined, { authorization: `Bearer ${tokens.access_token}` }), 200);
  }
  expect(expectStatus(await as('post', '/auth/logout', { refreshToken: refresh_token }), 200)).toEqual({
    message: 'Logged out successfully',
  });
  expect((await refresh()).status).toBe(401);
  await until('401', async () => (await as('get', '/projects')).status === 401);
  const printed = await product.printed();
  for (const secret of [access_token, refresh_token, 'mistyped-passw0rd', imageData.slice(-60)]) {
    expect(printed.includes(secret)).toBe(false);
  }
}, 120_000);
