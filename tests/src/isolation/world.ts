import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import { offlineEntry, syncBatch } from '../support/entries.ts';
import {
  type AgentKey,
  appsReport,
  invite,
  makeAgentKey,
  type Person,
  ping,
  post,
  register,
  usageOf,
  yesterdayNoon,
} from '../support/people.ts';
import { type Product, startProduct, temporaryFolder } from '../support/product.ts';
import { uploadScreenshot } from '../support/screenshots.ts';
import type { Operation } from './operations.ts';

/** Stands in everything that Ada's organisation stores; an answer to anybody else that holds it is a leak. */
export const marker = 'ada7b1d';
export const device = `device-${marker}`;

/** An organisation with one of everything, and those who work there. */
export interface World {
  product: Product;
  /** With which the product signs: what expired can be made without waiting for it. */
  signingKey: KeyObject;
  ada: Person;
  manager: Person;
  employee: Person;
  key: AgentKey;
  /** Of the organisation's people, by role; the admin's is `key`. */
  keys: Record<'admin' | 'manager' | 'employee', AgentKey>;
  session: string;
  ids: Record<
    | 'account'
    | 'project'
    | 'team'
    | 'task'
    | 'deletedTask'
    | 'invitation'
    | 'screenshot'
    | 'batch'
    | 'timeEntry'
    | 'timer'
    | 'alert'
    | 'export'
    | 'import'
    | 'notification'
    | 'webhook'
    | 'delivery',
    string
  >;
  usage: string[];
  /** What Ada sees of her organisation, without the marks that her own looking leaves. */
  state(): Promise<unknown>;
  close(): Promise<void>;
}

export const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());

export async function startWorld(): Promise<World> {
  const folder = await temporaryFolder();
  const signingKey = generateKeyPairSync('ed25519').privateKey;
  const product = await startProduct(folder.dir, {
    AUTH_SIGNING_KEY: signingKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    BILLING_WEBHOOK_SECRET: 'billing-secret-of-the-isolation-test',
    LOGIN_LIMIT_PER_MINUTE: '10000',
    MAIL_LIMIT_PER_MINUTE: '10000',
    SYNC_LIMIT_PER_MINUTE: '10000',
  });
  const { url } = product;
  const ada = await register(url, marker);
  const manager = await invite(product, ada, 'manager', `manager-${marker}`);
  const employee = await invite(product, ada, 'employee', `employee-${marker}`);
  const key = await makeAgentKey(url, ada, device);
  const keys = {
    admin: key,
    manager: await makeAgentKey(url, manager, `manager-${device}`),
    employee: await makeAgentKey(url, employee, `employee-${device}`),
  };
  await post(url, key.key, [
    ping(`App ${marker}`, { seconds: 60, url: `https://${marker}.example.com/`, title: `Title ${marker}` }),
    ping(`Other ${marker}`, { at: yesterdayNoon() + 600_000, seconds: 60 }),
  ]);
  await until('the report has both', async () => Object.keys(await appsReport(url, ada.accessToken)).length === 2);

  const make = async (path: string, body: object): Promise<string> =>
    expectStatus(await call(url, 'post', `/api/v1${path}`, { bearer: ada.accessToken, body }), 201).id;
  const project = await make('/projects', { name: `Project ${marker}`, description: `About ${marker}` });
  const team = await make(`/projects/${project}/teams`, { name: `Team ${marker}` });
  const member = { bearer: ada.accessToken, body: { userId: ada.userId } };
  expectStatus(await call(url, 'post', `/api/v1/teams/${team}/members`, member), 201);
  const task = await make('/tasks', { projectId: project, title: `Task ${marker}`, assigneeId: ada.userId });
  const deletedTask = await make('/tasks', { projectId: project, title: `Deleted ${marker}` });
  expectStatus(await call(url, 'delete', `/api/v1/tasks/${deletedTask}`, { bearer: ada.accessToken }), 204);
  const invitation = await make('/invitations', { email: `guest-${marker}@example.com`, role: 'employee' });

  const longDay = yesterdayNoon() - 5 * 86_400_000;
  await make('/time-entries/manual', {
    startTime: new Date(longDay - 5 * 3_600_000).toISOString(),
    endTime: new Date(longDay + 5 * 3_600_000).toISOString(),
    timezone: 'UTC',
  });
  const alert = await until('the alert of a long day', async () => {
    const found = await call(url, 'get', '/api/v1/alerts?type=overtime', { bearer: ada.accessToken });
    return expectStatus(found, 200).items[0]?.id as string | undefined;
  });
  const { batchId: batch } = await syncBatch(url, key.key, [
    offlineEntry(`offline-${marker}`, { description: marker }),
  ]);

  const about = { projectId: project, taskId: task, description: `Work ${marker}`, tags: [marker] };
  // Before the offline entry.
  const [startTime, endTime] = [-1, 0].map((hours) => new Date(yesterdayNoon() + hours * 3_600_000).toISOString());
  const timeEntry = await make('/time-entries/manual', { ...about, startTime, endTime });
  const timer = await make('/time-entries', about);

  const account = await make('/analytics/credentials', { name: marker });

  const asked = { report: 'daily', format: 'csv', date: new Date(yesterdayNoon()).toISOString().slice(0, 10) };
  const exporting = await call(url, 'post', '/api/v1/reports/exports', { bearer: ada.accessToken, body: asked });
  const { exportId } = expectStatus(exporting, 202);
  await until('the export is ready', async () => {
    const found = await call(url, 'get', `/api/v1/reports/exports/${exportId}`, { bearer: ada.accessToken });
    return found.body?.status === 'ready';
  });

  const webhook = await make('/webhooks', { url: `https://${marker}.invalid/`, events: ['export.failed'] });
  const tested = await call(url, 'post', `/api/v1/webhooks/${webhook}/test`, { bearer: ada.accessToken });
  const { deliveryId: delivery } = expectStatus(tested, 202);
  const notification = await until('she is told of the alert', async () => {
    const found = await call(url, 'get', '/api/v1/notifications', { bearer: ada.accessToken });
    return expectStatus(found, 200).items.find(({ type }: Json) => type === 'alert.own')?.id as string | undefined;
  });

  const screenshot = await uploadScreenshot(url, key.key, marker);
  await until('the screenshot is ready', async () => {
    const found = await call(url, 'get', `/api/v1/screenshots/${screenshot}`, { bearer: ada.accessToken });
    return found.body?.status === 'ready';
  });

  const history = new FormData();
  history.set('kind', 'activitywatch');
  const bucket = { type: 'currentwindow', client: 'w', hostname: marker, events: [] };
  history.set('file', new Blob([JSON.stringify({ buckets: { [marker]: bucket } })]), marker);
  const importing = await fetch(`${url}/api/v1/imports`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ada.accessToken}` },
    body: history,
  });
  const { importId } = (await importing.json()) as { importId: string };
  await until('the import is read', async () => {
    const found = await call(url, 'get', `/api/v1/imports/${importId}`, { bearer: ada.accessToken });
    return found.body?.status === 'ready';
  });

  const heartbeat = { timestamp: new Date(yesterdayNoon()).toISOString(), duration: 0, data: { marker } };
  const watched = `/api/0/buckets/bucket-${marker}/heartbeat?pulsetime=5`;
  expectStatus(await call(url, 'post', watched, { bearer: key.key, body: heartbeat }), 200);
  const setting = { bearer: key.key, body: { marker } };
  expectStatus(await call(url, 'post', `/api/0/settings/setting-${marker}`, setting), 200);

  const world: World = {
    product,
    signingKey,
    ada,
    manager,
    employee,
    key,
    keys,
    session: claimsOf(ada.accessToken).sid as string,
    ids: {
      project,
      team,
      task,
      deletedTask,
      invitation,
      screenshot,
      batch,
      timeEntry,
      timer,
      alert,
      account,
      export: exportId,
      import: importId,
      notification,
      webhook,
      delivery,
    },
    usage: (await usageOf(url, ada.accessToken)).map(({ id }) => id),
    state: () => stateOf(world),
    async close() {
      await product.process.stop();
      await folder.remove();
    },
  };
  return world;
}

async function stateOf({ product: { url }, ada, key, ids }: World): Promise<unknown> {
  const get = async (path: string): Promise<Json> =>
    expectStatus(await call(url, 'get', `/api/v1${path}`, { bearer: ada.accessToken }), 200);
  const without = (items: Json[], ...fields: string[]): Json[] =>
    items.map((item) => ({ ...item, ...Object.fromEntries(fields.map((field) => [field, null])) }));
  const { user, organization } = await get('/auth/me');
  return {
    user: { ...user, lastSeenAt: null },
    organization,
    keys: without((await get('/auth/agent-keys')).items, 'lastUsedAt', 'lastUsedFrom'),
    users: without((await get('/users')).items, 'lastSeenAt'),
    invitations: await get('/invitations'),
    projects: await get('/projects'),
    team: await get(`/teams/${ids.team}`),
    members: await get(`/teams/${ids.team}/members`),
    tasks: await get('/tasks'),
    // Links are signed anew each time.
    screenshots: without((await get('/screenshots')).items, 'url', 'thumbnailUrl'),
    batch: await get(`/sync/batches/${ids.batch}`),
    timer: without([(await get('/time-entries/active')).entry], 'workedSeconds', 'untrackedSeconds'),
    timeEntry: await get(`/time-entries/${ids.timeEntry}`),
    history: await get(`/time-entries/${ids.timeEntry}/history`),
    alerts: await get('/alerts?type=overtime'),
    accounts: await get('/analytics/credentials'),
    exports: await get('/reports/exports'),
    imports: await get('/imports'),
    usage: await usageOf(url, ada.accessToken),
    apps: await appsReport(url, ada.accessToken),
    // Others come when they come.
    notification: (await get('/notifications?limit=500')).items.find(({ id }: Json) => id === ids.notification),
    digest: await get('/notifications/settings'),
    webhooks: without((await get('/webhooks')).items, 'waiting'),
    buckets: expectStatus(await call(url, 'get', '/api/0/export', { bearer: key.key }), 200),
    watcherSettings: expectStatus(await call(url, 'get', '/api/0/settings', { bearer: key.key }), 200),
    presence: without((await get('/presence')).items, 'since', 'lastSeenAt', 'version'),
  };
}

type Ids = Record<string, string>;

/**
 * What the path parameters of a route name: one of Ada's. A route that takes a parameter needs a line here.
 * @returns values by parameter name.
 */
export function hers(world: World, operation: Operation): Ids {
  const { ada, employee, key, keys, session, ids } = world;
  const lines: [prefix: string, ids: Ids][] = [
    ['/api/v1/auth/agent-keys/{id}', { id: key.id }],
    ['/api/v1/auth/sessions/{id}', { id: session }],
    // No such range: what is one is everybody's own.
    ['/api/v1/users/current/stats/{range}', { range: ada.organizationId }],
    ['/api/v1/users/{id}', { id: employee.userId, keyId: keys.employee.id }],
    ['/api/v1/reports/user/{id}', { id: employee.userId }],
    ['/api/v1/reports/exports/{id}', { id: ids.export }],
    ['/api/v1/imports/{id}', { id: ids.import }],
    ['/api/v1/invitations/{id}', { id: ids.invitation }],
    ['/api/v1/webhooks/{id}', { id: ids.webhook, deliveryId: ids.delivery }],
    ['/api/v1/projects/{id}', { id: ids.project }],
    ['/api/v1/teams/{id}', { id: ids.team, userId: ada.userId }],
    ['/api/v1/screenshots/{id}', { id: ids.screenshot }],
    ['/api/v1/sync/batches/{id}', { id: ids.batch }],
    ['/api/v1/time-entries/{id}', { id: operation.method === 'put' ? ids.timer : ids.timeEntry }],
    ['/api/time-entries/{id}', { id: operation.method === 'put' ? ids.timer : ids.timeEntry }],
    ['/api/screenshots/time-entry/{id}', { id: ids.timeEntry }],
    ['/api/v1/alerts/{id}', { id: ids.alert }],
    ['/api/v1/reports/user/{id}', { id: ada.userId }],
    ['/api/v1/analytics/credentials/{id}', { id: ids.account }],
    ['/api/0/buckets/{bucketId}', { bucketId: `bucket-${marker}`, eventId: '1' }],
    ['/api/0/settings/{key}', { key: `setting-${marker}` }],
    ['/objects/', { key: `screenshots/${ada.organizationId}/${ids.screenshot}` }],
    ['/api/v1/tasks/{id}', { id: operation.route.endsWith('/restore') ? ids.deletedTask : ids.task }],
  ];
  const line = lines.find(([prefix]) => operation.route.startsWith(prefix));
  const named = operation.parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  if (!line || named.some((name) => line[1][name] === undefined)) {
    throw new Error(`isolation: no object of another organisation is known for ${operation.name}: make one`);
  }
  return line[1];
}

/** A lawful body that would do something to Ada, were the ids in it believed. A new operation with a body needs a line here. */
export function bodyOf(world: World, operation: Operation): unknown {
  if (!operation.hasBody) return undefined;
  const { ada, ids, session } = world;
  const ofAda = { userId: ada.userId, organizationId: ada.organizationId, user: ada.userId, org: ada.organizationId };
  const watcherEvent = {
    timestamp: new Date(yesterdayNoon()).toISOString(),
    duration: 60,
    data: { app: 'B', title: 'B' },
  };
  const bodies: Record<string, object> = {
    'post /api/v1/analytics/query': { sql: 'SELECT * FROM people' },
    'post /api/v1/analytics/credentials': { name: 'B' },
    'post /api/v1/reports/exports': { report: 'daily', format: 'csv', date: '2026-01-01' },
    'post /api/v1/auth/register': { email: ada.email, password: 'x'.repeat(12), name: 'B', organizationName: 'B' },
    'post /api/v1/auth/login': { email: ada.email, password: 'not the password' },
    'post /api/v1/auth/refresh': { refreshToken: session },
    'post /api/v1/auth/logout': { refreshToken: session, sessionId: session },
    'post /api/v1/auth/logout-all': {},
    'patch /api/v1/auth/me': { id: ada.userId, name: 'B' },
    'post /api/v1/auth/agent-keys': { name: 'B', deviceId: device },
    'post /api/v1/auth/password/change': { currentPassword: 'not the password', newPassword: 'x'.repeat(12) },
    'post /api/v1/auth/password/forgot': { email: 'nobody-at-all@example.com' },
    'post /api/v1/auth/password/reset': { token: session, password: 'x'.repeat(12) },
    'post /api/v1/auth/verify': { token: session },
    'post /api/v1/organization/deletion': { password: 'not the password' },
    'post /api/v1/invitations': { email: `guest-${marker}@example.com`, role: 'employee' },
    'post /api/v1/invitations/accept': { token: ids.invitation, name: 'B', password: 'x'.repeat(12) },
    'patch /api/v1/users/{id}': { role: 'manager', status: 'suspended' },
    'patch /api/v1/organization': { id: ada.organizationId, name: 'B', settings: { minimumBlurLevel: 1 } },
    'put /api/v1/organization/privacy': { version: 0, rules: [{ id: 'B', kind: 'drop', apps: ['No such app'] }] },
    'post /api/v1/privacy/preview': { privacy: {} },
    'put /api/v1/users/me/pause': { until: new Date(Date.now() + 60_000).toISOString() },
    'post /api/v1/billing/webhook': { id: 'x', type: 'subscription.updated', status: 'free' },
    'post /api/v1/pings': ping('B', { ...ofAda, deviceId: device, seconds: 3_600 }),
    'post /api/v1/users/current/heartbeats': { entity: 'B', time: yesterdayNoon() / 1_000, machine: device },
    'post /api/v1/users/current/heartbeats.bulk': { entity: 'B', time: yesterdayNoon() / 1_000, machine: device },
    'post /api/0/buckets/{bucketId}': { type: 'currentwindow', client: 'B', hostname: 'B' },
    'put /api/0/buckets/{bucketId}': { type: 'currentwindow', client: 'B', hostname: 'B' },
    'post /api/0/buckets/{bucketId}/heartbeat': watcherEvent,
    'post /api/0/buckets/{bucketId}/events': { ...watcherEvent, id: 1 },
    'post /api/0/import': {
      buckets: { [`bucket-${marker}`]: { type: 'B', client: 'B', hostname: 'B', events: [watcherEvent] } },
    },
    'post /api/0/query': {
      timeperiods: ['2020-01-01T00:00:00Z/2030-01-01T00:00:00Z'],
      query: [`RETURN = query_bucket("bucket-${marker}");`],
    },
    'post /api/0/settings/{key}': { theme: 'B' },
    'post /api/v1/users/current/file_experts': { entity: `Title ${marker}` },
    'post /api/v1/activity': { minute: '2026-01-01T00:00:30.000Z', keyboardClicks: 1, mouseMovements: 1 },
    'post /api/v1/sync/batch': { entries: [{ ...ofAda, ...offlineEntry('b') }] },
    'post /api/v1/time-entries': { projectId: ids.project },
    'post /api/v1/time-entries/manual': {
      startTime: '2026-01-01T00:00:00.000Z',
      endTime: '2026-01-01T01:00:00.000Z',
    },
    'patch /api/v1/time-entries/{id}': { version: 1, description: 'B' },
    'put /api/v1/time-entries/{id}/pause': {},
    'put /api/v1/time-entries/{id}/resume': {},
    'put /api/v1/time-entries/{id}/stop': {},
    'post /api/auth/login': { email: ada.email, password: 'not the password' },
    'post /api/auth/refresh': { refresh_token: session },
    'post /api/auth/logout': { refreshToken: session },
    'post /api/time-entries': { projectId: ids.project },
    'put /api/time-entries/{id}/pause': {},
    'put /api/time-entries/{id}/resume': {},
    'put /api/time-entries/{id}/stop': {},
    'post /api/screenshots': { timeEntryId: ids.timeEntry, imageData: 'QUJD' },
    'post /api/idle/heartbeat': { isActive: true },
    'post /api/url-activity/batch': {
      activities: [{ timeEntryId: ids.timeEntry, url: 'https://b.invalid/', timeSpent: 3_600 }],
    },
    'post /api/v1/sync/screenshots/presign': { contentType: 'image/png', size: 100 },
    'post /api/v1/sync/screenshots/confirm': { screenshotId: ids.screenshot },
    'post /api/v1/notifications/read': { ids: [ids.notification] },
    'put /api/v1/notifications/settings': { digest: 'daily' },
    'post /api/v1/webhooks': { url: 'https://b.invalid/', events: ['task.created'] },
    'patch /api/v1/webhooks/{id}': { enabled: false },
    'post /api/v1/projects': { name: 'B' },
    'patch /api/v1/projects/{id}': { name: 'B' },
    'post /api/v1/projects/{id}/tasks': { title: 'B' },
    'post /api/v1/projects/{id}/teams': { name: 'B' },
    'post /api/v1/teams': { name: 'B', projectId: ids.project },
    'patch /api/v1/teams/{id}': { name: 'B' },
    'post /api/v1/teams/{id}/members': { userId: ada.userId },
    'post /api/v1/tasks': { projectId: ids.project, title: 'B', assigneeId: ada.userId },
    'patch /api/v1/tasks/{id}': { title: 'B', version: 1 },
  };
  // Forms, which are no JSON: their own tests upload under the ids of others.
  if (['post /api/v1/sync/screenshots', 'post /api/v1/imports'].includes(operation.name)) return ofAda;
  if (operation.route.startsWith('/objects/')) return 'bytes';
  const body = bodies[operation.name];
  if (!body) throw new Error(`isolation: no body is known for ${operation.name}: write one`);
  return { ...ofAda, ...body };
}

/** The path with these ids in it, and something valid in every query parameter that is required; `date` is for a range, too. */
export function pathOf(operation: Operation, ids: Ids, query: Record<string, string> = {}): string {
  const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
  const filled = new URLSearchParams(query);
  for (const { name, in: where, required, schema } of operation.parameters) {
    if (where !== 'query' || (!required && name !== 'date') || filled.has(name)) continue;
    if (schema.format === 'date') filled.set(name, date);
    else filled.set(name, name === 'to' ? `${date}T23:59:59.000Z` : `${date}T00:00:00.000Z`);
  }
  const path = operation.route.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name]!);
  return filled.size > 0 ? `${path}?${filled}` : path;
}

export const takesPath = (operation: Operation): boolean => operation.route.includes('{');
