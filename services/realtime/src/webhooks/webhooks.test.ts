import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAudit } from '@worktide/audit';
import { createOutbox, readsOf } from '@worktide/postgres';
import { createLifecycle, createMetrics, type Lifecycle, type Metrics, silentLogger, uuidv7 } from '@worktide/runtime';
import type { CreatedWebhook, Delivery, Webhook, WebhookEvent } from '@worktide/schemas';
import { type Answer, expectStatus, type Json, metricOf, until } from '@worktide/testing';
import { createTeller, notificationMetrics } from '../notifications/tell.ts';
import { eraseOrganization } from '../people/store.ts';
import { type Person, startWorld, taskState, type World } from '../told/testing.ts';
import { claimWebhook, nextDelivery, settleTry } from './claims.ts';
import { group } from './consumer.ts';
import { eventTopics } from './events.ts';
import { openWebhooks, type WebhookPace, type Webhooks } from './open.ts';
import { removeOldDeliveries } from './retention.ts';
import { type Received, type Receiver, startReceiver } from './testing.ts';

const log = silentLogger();
let world: World;
let admin: Person;
let receiver: Receiver;
const receivers: Receiver[] = [];

interface Running extends Webhooks {
  lifecycle: Lifecycle;
  metrics: Metrics;
  call(as: Person | undefined, method: string, path: string, body?: unknown): Promise<Answer>;
}
let running: Running;

/** One process of webhooks; it is hurried, and asks no name server. */
async function start(pace: WebhookPace = {}, config: { key?: string; concurrency?: number; strict?: boolean } = {}) {
  const lifecycle = createLifecycle({ log });
  const metrics = createMetrics();
  const { pool, registry, eventLog } = world;
  const deps = { pool, registry, eventLog, lifecycle, metrics, log };
  const teller = createTeller({
    pool,
    metrics: notificationMetrics(metrics),
    push: (pushes) => void world.pushed.push(...pushes),
  });
  const outbox = createOutbox({ schema: 'realtime', ...deps, producer: eventLog.producer(), whenFull: 'leave' });
  const webhooks = await openWebhooks(
    {
      WEBHOOK_ALLOWED_RANGES: config.strict ? [] : ['127.0.0.0/8'],
      WEBHOOK_ALLOW_HTTP: !config.strict,
      WEBHOOK_SECRETS_KEY: config.key === undefined ? [] : [config.key],
      WEBHOOK_CONCURRENCY: config.concurrency ?? 8,
    },
    {
      ...deps,
      reads: readsOf(deps.pool),
      outbox,
      audit: createAudit({ service: 'realtime', registry, log, metrics }),
      limits: {
        window: () => ({
          take: async () => ({ name: 'test', limit: 1, remaining: 1, resetSeconds: 1, policySeconds: 1 }),
          giveBack: async () => {},
        }),
      },
      teller,
    },
    {
      pollMs: 30,
      pauseMs: () => 40,
      resolve: async (name) => (name.endsWith('.private.example') ? ['10.0.0.1'] : ['1.1.1.1']),
      ...pace,
    },
  );
  running = { ...webhooks, lifecycle, metrics, call: await world.serve(webhooks.routes, { lifecycle, metrics }) };
}
async function stop(): Promise<void> {
  await running?.lifecycle.close();
}
async function newReceiver(): Promise<Receiver> {
  const one = await startReceiver();
  receivers.push(one);
  return one;
}

beforeAll(async () => {
  world = await startWorld();
});
afterAll(async () => {
  await world?.close();
});
beforeEach(async () => {
  admin = await world.person('admin');
  receiver = await newReceiver();
});
afterEach(async () => {
  for (const one of receivers.splice(0)) one.close();
  await stop();
  await world.pool.query('DELETE FROM realtime.webhooks');
  await world.pool.query('DELETE FROM realtime.webhook_turns');
});

const make = async (
  to: Receiver = receiver,
  { as = admin, events = ['task.created', 'task.updated'] }: { as?: Person; events?: WebhookEvent[] } = {},
): Promise<CreatedWebhook> => expectStatus(await running.call(as, 'post', '/webhooks', { url: to.url, events }), 201);
const get = async (id: string, as = admin): Promise<Webhook> =>
  expectStatus(await running.call(as, 'get', `/webhooks/${id}`), 200);
const deliveriesOf = async (id: string, query = ''): Promise<Delivery[]> =>
  expectStatus(await running.call(admin, 'get', `/webhooks/${id}/deliveries${query}`), 200).items;
/** A task changes; of one id in order. */
async function change(id = uuidv7(), version = 1, of = admin, more: Parameters<typeof taskState>[0] = {}) {
  const { organizationId, userId: actorId } = of;
  await world.send('workspace-events', organizationId, {
    organizationId,
    actorId,
    events: [taskState({ id, version, ...more })],
  });
  return id;
}
const bodyOf = ({ body }: Received) => JSON.parse(body);
const told = (by = receiver): string[] =>
  by.received.map((one) => `${bodyOf(one).data.id} ${bodyOf(one).data.version}`);
const untilReceived = (count: number, by = receiver) =>
  until(`${count} requests`, () => by.received.length >= count && by.received);
const settled = () => until('all is read', async () => (await running.consumer.lag()) === 0);
/** The signature as docs/webhooks.md has it is tried in docs.test.ts. */
const isSigned = ({ headers, body }: Received, secret: string): boolean => {
  const [t, ...values] = String(headers['x-worktide-signature']).split(',');
  return values.includes(
    `v1=${createHmac('sha256', secret)
      .update(`${t!.slice(2)}.${body}`)
      .digest('hex')}`,
  );
};

describe('a webhook', () => {
  test('is told, signed, what it asked for, of its organisation, from when it was made', async () => {
    await start();
    const before = await change();
    await settled();
    const stranger = await world.person('admin');
    const { id, secret, ...shown } = await make();
    expect(shown).toEqual({
      url: receiver.url,
      events: ['task.created', 'task.updated'],
      description: null,
      enabled: true,
      off: null,
      failingSince: null,
      waiting: 0,
      oldSecretUntil: null,
      createdBy: admin.userId,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
    });
    await change(uuidv7(), 1, stranger);
    await change(uuidv7(), 2, admin, { deleted: true });
    const task = await change();
    const [request] = await untilReceived(1);
    const body = bodyOf(request!);
    expect(request).toMatchObject({
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-worktide-event': 'task.created',
        'x-worktide-delivery': body.id,
        'webhook-id': body.id,
      },
    });
    expect(body).toMatchObject({
      type: 'task.created',
      organizationId: admin.organizationId,
      data: { id: task, version: 1, title: 'Write it down', actorId: admin.userId },
    });
    expect(isSigned(request!, secret)).toBe(true);
    await settled();
    const [delivery, ...others] = await until('it is noted', async () => {
      const found = await deliveriesOf(id, '?status=delivered');
      return found.length > 0 && found;
    });
    expect(others).toEqual([]);
    expect(delivery).toEqual({
      id: body.id,
      eventId: body.eventId,
      event: 'task.created',
      status: 'delivered',
      attempts: 1,
      tries: [{ at: expect.any(String), durationMs: expect.any(Number), statusCode: 204, failure: null }],
      nextTryAt: null,
      createdAt: expect.any(String),
      settledAt: expect.any(String),
    });
    const whole = await running.call(admin, 'get', `/webhooks/${id}/deliveries/${body.id}`);
    expect(whole.body).toEqual({ ...delivery, payload: request!.body, answer: '' });
    expect(told()).not.toContain(`${before} 1`);
    expect(receiver.received).toHaveLength(1);
  });

  test('has its secret shown once; it is in no list, and sealed in the database', async () => {
    const key = 'k'.repeat(32);
    await start({}, { key });
    const { id, secret } = await make();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const answers = [
      await running.call(admin, 'get', '/webhooks'),
      await running.call(admin, 'get', `/webhooks/${id}`),
      await running.call(admin, 'patch', `/webhooks/${id}`, { description: 'Payroll' }),
    ];
    for (const { status, text } of answers) expect([status, text.includes('whsec_')]).toEqual([200, false]);
    const { rows } = await world.pool.query('SELECT * FROM realtime.webhooks WHERE id = $1', [id]);
    expect(JSON.stringify(rows)).not.toContain(secret.slice(6, 20));
    // With a key that does not open it nothing is sent, and nothing lost.
    await stop();
    await change();
    await start({}, { key: 'other'.repeat(8) });
    await settled();
    await until('it was tried', async () => (await get(id)).waiting === 1);
    await stop();
    await world.pool.query('UPDATE realtime.webhooks SET due_at = now(), lease = NULL');
    await start({}, { key });
    const [request] = await untilReceived(1);
    expect(isSigned(request!, secret)).toBe(true);
    expect((await get(id)).failingSince).toBeNull();
  });

  test('gets another secret, and for a day is signed for with both', async () => {
    await start();
    const { id, secret } = await make();
    const replaced = await running.call(admin, 'post', `/webhooks/${id}/secret`);
    expect(replaced).toMatchObject({ status: 200, body: { id, oldSecretUntil: expect.any(String) } });
    const next = replaced.body.secret;
    expect(next).not.toBe(secret);
    await change();
    const [both] = await untilReceived(1);
    expect([isSigned(both!, secret), isSigned(both!, next)]).toEqual([true, true]);
    expect(String(both!.headers['webhook-signature']).split(' ')).toHaveLength(2);
    await world.pool.query("UPDATE realtime.webhooks SET old_secret_until = now() - interval '1 second'");
    await change();
    const [, alone] = await untilReceived(2);
    expect([isSigned(alone!, secret), isSigned(alone!, next)]).toEqual([false, true]);
  });

  test('is for admins, of their own organisation, and leaves a trail without secrets', async () => {
    await start();
    const { id } = await make();
    const [manager, stranger] = [
      await world.person('manager', { organizationId: admin.organizationId }),
      await world.person('admin'),
    ];
    const body = { url: receiver.url, events: ['task.created'] };
    const asks = (who: Person | undefined) =>
      Promise.all([
        running.call(who, 'get', `/webhooks/${id}`),
        running.call(who, 'patch', `/webhooks/${id}`, { enabled: false }),
        running.call(who, 'delete', `/webhooks/${id}`),
        running.call(who, 'post', `/webhooks/${id}/secret`),
        running.call(who, 'post', `/webhooks/${id}/test`),
        running.call(who, 'get', `/webhooks/${id}/deliveries`),
        running.call(who, 'get', `/webhooks/${id}/deliveries/${uuidv7()}`),
      ]);
    const statuses = async (who: Person | undefined) => [...new Set((await asks(who)).map(({ status }) => status))];
    expect(await statuses(manager)).toEqual([403]);
    expect(await statuses(stranger)).toEqual([404]);
    expect(await statuses(undefined)).toEqual([401]);
    expect((await running.call(manager, 'post', '/webhooks', body)).status).toBe(403);
    expect((await running.call(stranger, 'get', '/webhooks')).body.items).toEqual([]);

    const url = `${receiver.url}/path?key=very-secret`;
    const events = ['alert.opened', 'alert.opened'];
    const changed = await running.call(admin, 'patch', `/webhooks/${id}`, { url, events });
    expect(changed).toMatchObject({ status: 200, body: { url, events: ['alert.opened'] } });
    await running.call(admin, 'post', `/webhooks/${id}/secret`);
    expect((await running.call(admin, 'delete', `/webhooks/${id}`)).status).toBe(204);
    expect((await running.call(admin, 'get', `/webhooks/${id}`)).status).toBe(404);
    const trail = await until('the trail', async () => {
      const found = await world.audited(admin.organizationId);
      return found.length === 4 && found;
    });
    expect(trail.map(({ action }) => action)).toEqual([
      'webhook.created',
      'webhook.changed',
      'webhook.secret-replaced',
      'webhook.deleted',
    ]);
    expect(trail[1]).toMatchObject({ actorId: admin.userId, entityId: id, after: { events: ['alert.opened'] } });
    expect(JSON.stringify(trail)).not.toMatch(/very-secret|whsec_/);
  });

  test('cannot lead to where nobody may be sent, said at once; nor is there an end of them', async () => {
    await start({}, { strict: true });
    const create = (url: string) => running.call(admin, 'post', '/webhooks', { url, events: ['task.created'] });
    const refused = {
      'http://hook.example/': 'NOT_HTTPS',
      'https://127.0.0.1/': 'ADDRESS_REFUSED',
      'https://[::1]/': 'ADDRESS_REFUSED',
      'https://169.254.169.254/': 'ADDRESS_REFUSED',
      'https://inside.private.example/': 'ADDRESS_REFUSED',
      'https://a:b@hook.example/': 'URL_HAS_CREDENTIALS',
    };
    for (const [url, code] of Object.entries(refused)) {
      const answer = await create(url);
      expect(answer).toMatchObject({
        status: 400,
        body: { code: 'WEBHOOK_URL_REFUSED', details: [{ path: 'body.url', code }] },
      });
    }
    for (const url of ['ftp://hook.example/', 'nonsense', '']) expect((await create(url)).status).toBe(400);
    const { id } = expectStatus(await create('https://hook.example/'), 201);
    const patch = (body: object) => running.call(admin, 'patch', `/webhooks/${id}`, body);
    expect((await patch({ url: 'https://127.0.0.1/' })).body.code).toBe('WEBHOOK_URL_REFUSED');
    for (const body of [{}, { events: [] }, { events: ['everything'] }]) expect((await patch(body)).status).toBe(400);
    const more = await Promise.all(Array.from({ length: 25 }, () => create('https://hook.example/')));
    expect(more.filter(({ status }) => status === 201)).toHaveLength(19);
    expect(more.find(({ status }) => status !== 201)).toMatchObject({
      status: 409,
      body: { code: 'TOO_MANY_WEBHOOKS' },
    });
  });

  test('whose name leads elsewhere after it was made is not delivered to', async () => {
    let inside = false;
    await start({ resolve: async () => (inside ? ['127.0.0.1'] : ['1.1.1.1']) }, { strict: true });
    const url = 'https://hook.example/';
    const { id } = expectStatus(await running.call(admin, 'post', '/webhooks', { url, events: ['task.created'] }), 201);
    inside = true;
    await change();
    const delivery = await until('it was tried', async () =>
      (await deliveriesOf(id)).find(({ attempts }) => attempts > 0),
    );
    expect(delivery.tries[0]).toMatchObject({ statusCode: null, failure: { code: 'ADDRESS_REFUSED' } });
  });
});

describe('deliveries', () => {
  test('to a receiver that fails are made again under the same id, in order', async () => {
    await start();
    const { id } = await make();
    let failures = 4;
    receiver.behave((_, res) => {
      const left = failures--;
      if (left > 2) res.writeHead(500).end('not now');
      else if (left > 0) res.destroy();
      else res.writeHead(200).end();
    });
    const task = uuidv7();
    for (const version of [1, 2, 3]) await change(task, version);
    const received = await untilReceived(7);
    expect(told()).toEqual([1, 1, 1, 1, 1, 2, 3].map((version) => `${task} ${version}`));
    const ids = received.map(({ headers }) => headers['x-worktide-delivery']);
    expect(new Set(ids.slice(0, 5)).size).toBe(1);
    expect(new Set(ids).size).toBe(3);
    await until('all are noted', async () => (await deliveriesOf(id, '?status=delivered')).length === 3);
    const first = (await deliveriesOf(id)).at(-1)!;
    expect(first).toMatchObject({ attempts: 5, status: 'delivered' });
    expect(first.tries.map(({ failure }) => failure?.code ?? null)).toEqual([
      null,
      'CLOSED',
      'CLOSED',
      'STATUS',
      'STATUS',
    ]);
    expect((await get(id)).failingSince).toBeNull();
  });

  test('of one object that a receiver will not have do not hold up those of others for long', async () => {
    await start({ pauseMs: (attempts) => (attempts < 3 ? 20 : 60_000), longestPauseMs: 50 });
    const { id } = await make();
    const bad = uuidv7();
    receiver.behave((received, res) => res.writeHead(bodyOf(received).data.id === bad ? 422 : 200).end());
    await change(bad, 1);
    await change(bad, 2);
    const good = await change();
    await until('the other is delivered', () => told().includes(`${good} 1`));
    await until('it is noted', async () => (await deliveriesOf(id, '?status=delivered')).length === 1);
    // What is behind it waits for it, or the receiver would learn the second before the first.
    expect(told()).not.toContain(`${bad} 2`);
    expect((await get(id)).waiting).toBe(2);
    // Mended: another URL, and all is tried at once.
    const mended = await newReceiver();
    await running.call(admin, 'patch', `/webhooks/${id}`, { url: mended.url });
    await untilReceived(2, mended);
    expect(told(mended)).toEqual([`${bad} 1`, `${bad} 2`]);
  });

  test('to receivers that hang keep nobody else waiting, of the same organisation or another', async () => {
    await start({}, { concurrency: 4 });
    const others = await world.person('admin');
    const [same, other, hanging] = [await newReceiver(), await newReceiver(), await newReceiver()];
    hanging.behave(() => {});
    // More of them than there are places; of the same organisation one at a time is in work.
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push((await make(hanging, { as: others })).id);
    await make(other);
    await change(uuidv7(), 1, others);
    await until('one hangs', () => hanging.received.length > 0);
    const task = await change();
    await until('the other has it', () => told(other).includes(`${task} 1`));
    expect(hanging.received).toHaveLength(1);
    // One that has hung gives its place to those that do not.
    await world.pool.query('UPDATE realtime.webhooks SET failures = 1, failing_since = now() WHERE url = $1', [
      hanging.url,
    ]);
    await make(same, { as: others });
    await stop();
    await start({ timeoutMs: 100, pauseMs: () => 60_000 }, { concurrency: 4 });
    const second = await change(uuidv7(), 1, others);
    await until('it has it, too', () => told(same).includes(`${second} 1`));
    expect(ids).toHaveLength(5);
  });

  test('are made once, however often topics are read', async () => {
    await start();
    const { id } = await make();
    const task = await change();
    await change(task, 2);
    // As by an outbox that publishes again after a crash.
    await change(task, 1);
    await untilReceived(2);
    await settled();
    await stop();
    for (const topic of eventTopics) await world.eventLog.admin.resetGroup(group, topic, 'earliest');
    await start();
    await settled();
    const last = await change(task, 3);
    await untilReceived(3);
    expect(told()).toEqual([1, 2, 3].map((version) => `${last} ${version}`));
    expect(await deliveriesOf(id)).toHaveLength(3);
  });

  test('follow a commit: of a transaction that ends otherwise nothing is sent', async () => {
    await start();
    await make();
    const { admin: database } = world.database;
    await database.query(`CREATE FUNCTION realtime.refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57P01'; END $$`);
    await database.query(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON realtime.webhook_deliveries
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION realtime.refuse()`);
    try {
      await change();
      await until('it was refused', () => running.consumer.state === 'retrying');
      expect(receiver.received).toEqual([]);
    } finally {
      await database.query('DROP TRIGGER refuse ON realtime.webhook_deliveries');
      await database.query('DROP FUNCTION realtime.refuse');
    }
    await untilReceived(1);
    await settled();
    expect(receiver.received).toHaveLength(1);
  });

  test('that a process has sent and did not live to note are sent again under the same id', async () => {
    await start();
    const { id } = await make();
    receiver.behave((_, res) => res.writeHead(503).end());
    await change();
    await untilReceived(1);
    await stop();
    receiver.behave((_, res) => res.writeHead(200).end());
    await world.pool.query('UPDATE realtime.webhook_deliveries SET due_at = now() WHERE webhook_id = $1', [id]);
    await world.pool.query('UPDATE realtime.webhooks SET due_at = now(), lease = NULL');
    const terms = { leaseMs: 60_000, failing: true, ofOrganization: 1 };
    const claim = (await claimWebhook(world.pool, terms))!;
    const delivery = (await nextDelivery(world.pool, claim))!;
    // It dies here: its receiver has it, and nobody knows.
    await fetch(claim.url, { method: 'POST', headers: { 'x-worktide-delivery': delivery.id }, body: delivery.payload });
    expect(await claimWebhook(world.pool, terms)).toBeUndefined();
    // Its lease ends.
    await world.pool.query('UPDATE realtime.webhooks SET due_at = now()');
    await start();
    const received = await untilReceived(3);
    expect(new Set(received.map(({ headers }) => headers['x-worktide-delivery']))).toEqual(new Set([delivery.id]));
    await until('it is noted', async () => (await deliveriesOf(id))[0]!.status === 'delivered');
    // Were it alive and only slow, it would be too late: what it found is not noted.
    const late = { statusCode: 500, answer: null, failure: { code: 'STATUS', message: '' }, durationMs: 1 };
    const noted = await settleTry(world.pool, claim, delivery, late, { leaseMs: 1, pauseMs: () => 1 });
    expect(noted.isLost).toBe(true);
    expect((await deliveriesOf(id))[0]).toMatchObject({ status: 'delivered', attempts: 2 });
  });

  test('of a test go first, once, and say how it went', async () => {
    await start({ pauseMs: () => 60_000 });
    const { id, secret } = await make();
    receiver.behave((_, res) => res.writeHead(500).end('no'));
    await change();
    await until('it fails', async () => (await get(id)).failingSince !== null);
    const test1 = expectStatus(await running.call(admin, 'post', `/webhooks/${id}/test`), 202);
    const find = (deliveryId: string) => async () => {
      const found = (await deliveriesOf(id)).find((one) => one.id === deliveryId);
      return found && found.status !== 'waiting' && found;
    };
    expect(await until('it was tried', find(test1.deliveryId))).toMatchObject({
      event: 'ping',
      status: 'failed',
      attempts: 1,
      tries: [{ statusCode: 500 }],
    });
    // Also where it is off: one wants to know before it is switched on again.
    await running.call(admin, 'patch', `/webhooks/${id}`, { enabled: false });
    receiver.behave((_, res) => res.writeHead(200).end());
    const test2 = expectStatus(await running.call(admin, 'post', `/webhooks/${id}/test`), 202);
    expect(await until('it was tried', find(test2.deliveryId))).toMatchObject({ status: 'delivered' });
    const ping = receiver.received.at(-1)!;
    expect(bodyOf(ping)).toMatchObject({ type: 'ping', data: { webhookId: id, userId: admin.userId } });
    expect(isSigned(ping, secret)).toBe(true);
    expect((await deliveriesOf(id)).map(({ status }) => status)).toEqual(['delivered', 'failed', 'dropped']);
  });

  test('of a body above 64 KiB name the object alone', async () => {
    await start();
    await make();
    const task = await change(uuidv7(), 1, admin, { title: 'x'.repeat(70_000) });
    const [request] = await untilReceived(1);
    expect(bodyOf(request!)).toMatchObject({ truncated: true, data: { id: task, version: 1 } });
  });

  test('are kept for two weeks, the bodies of the newest hundred', async () => {
    await start();
    const { id } = await make();
    await world.pool.query(
      `INSERT INTO realtime.webhook_deliveries
         (organization_id, webhook_id, id, event_id, event, object, payload, answer, status, due_at, settled_at)
       SELECT $1, $2, gen_random_uuid(), gen_random_uuid(), 'task.created', 'x', '{}', 'a', 'delivered', NULL,
         now() - CASE WHEN n <= 5 THEN interval '15 days' ELSE interval '1 hour' END FROM generate_series(1, 115) n`,
      [admin.organizationId, id],
    );
    expect(await removeOldDeliveries(world.pool)).toBe(false);
    const { rows } = await world.pool.query(
      'SELECT count(*) AS n, count(payload) AS bodies, count(answer) AS answers FROM realtime.webhook_deliveries',
    );
    expect(rows).toEqual([{ n: 110, bodies: 100, answers: 100 }]);
    const pages = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const path: string = `/webhooks/${id}/deliveries?limit=50${cursor && `&cursor=${cursor}`}`;
      const page: Json = expectStatus(await running.call(admin, 'get', path), 200);
      pages.push(page.items.length);
      cursor = page.nextCursor;
    }
    expect(pages).toEqual([50, 50, 10]);
  });
});

describe('a webhook is switched off', () => {
  /** Of this admin, by the service. */
  const notificationOf = async (who: Person) =>
    (await world.pool.query('SELECT type, body, link FROM realtime.notifications WHERE user_id = $1', [who.userId]))
      .rows;

  test('when nothing got through for a day; its admins are told once, and what waits is dropped', async () => {
    await start({ giveUpMs: 300 });
    const colleague = await world.person('admin', { organizationId: admin.organizationId });
    const { id } = await make();
    receiver.behave((_, res) => res.writeHead(500).end());
    const task = await change();
    await change(task, 2);
    const off = await until('it is off', async () => {
      const found = await get(id);
      return !found.enabled && found;
    });
    expect(off).toMatchObject({ off: { reason: 'failing', at: expect.any(String) }, waiting: 0 });
    expect((await deliveriesOf(id)).map(({ status }) => status)).toContain('dropped');
    const told = { type: 'webhook.off', body: 'It has taken nothing for a day.', link: `/settings/webhooks/${id}` };
    for (const who of [admin, colleague]) {
      expect(await notificationOf(who)).toEqual([told]);
      await until('the push', () => world.pushed.some(({ userId }) => userId === who.userId));
    }
    await until('the trail', async () =>
      (await world.audited(admin.organizationId)).some(
        ({ action, actorType }) => action === 'webhook.switched-off' && actorType === 'system',
      ),
    );
    expect(await metricOf(running.metrics, 'worktide_webhooks_off_total')).toBe(1);
    // What happens while it is off is not told later.
    await change();
    await settled();
    receiver.behave((_, res) => res.writeHead(200).end());
    const sent = receiver.received.length;
    const on = await running.call(admin, 'patch', `/webhooks/${id}`, { enabled: true });
    expect(on.body).toMatchObject({ enabled: true, off: null, failingSince: null });
    // Neither does a topic that is read again bring it.
    const last = await change();
    await untilReceived(sent + 1);
    await settled();
    expect(told1(receiver.received.slice(sent))).toEqual([last]);
  });
  const told1 = (received: Received[]) => received.map((one) => bodyOf(one).data.id);

  test('at once where the receiver says that it is gone', async () => {
    await start();
    const { id } = await make();
    receiver.behave((_, res) => res.writeHead(410).end());
    await change();
    await until('it is off', async () => (await get(id)).off?.reason === 'gone');
    expect(receiver.received).toHaveLength(1);
    expect(await notificationOf(admin)).toMatchObject([{ type: 'webhook.off' }]);
  });

  test('where too much waits for it', async () => {
    await start({ maxWaiting: 3, pauseMs: () => 60_000 });
    const { id } = await make();
    receiver.behave((_, res) => res.writeHead(500).end());
    for (let i = 0; i < 4; i++) await change();
    await until('it is off', async () => (await get(id)).off?.reason === 'backlog');
    expect((await get(id)).waiting).toBe(0);
    expect(await notificationOf(admin)).toMatchObject([{ body: 'Too many deliveries wait for it.' }]);
  });

  test('but not for one delivery that is not taken while others are', async () => {
    await start({ giveUpMs: 300, pauseMs: () => 60 });
    const { id } = await make();
    const bad = await change();
    receiver.behave((received, res) => res.writeHead(bodyOf(received).data.id === bad ? 422 : 200).end());
    const feeding = setInterval(() => void change().catch(() => {}), 40);
    try {
      await until('it is given up', async () => (await deliveriesOf(id, '?status=failed')).length === 1);
    } finally {
      clearInterval(feeding);
    }
    const [failed] = await deliveriesOf(id, '?status=failed');
    expect(failed).toMatchObject({ nextTryAt: null });
    expect(
      JSON.parse((await running.call(admin, 'get', `/webhooks/${id}/deliveries/${failed!.id}`)).body.payload).data.id,
    ).toBe(bad);
  });
});

test('of a deleted organisation nothing is left', async () => {
  await start();
  await make();
  await change();
  await untilReceived(1);
  await settled();
  await eraseOrganization(world.pool, admin.organizationId);
  for (const table of ['webhooks', 'webhook_deliveries', 'webhook_turns', 'notifications', 'people', 'known_tasks']) {
    const { rows } = await world.pool.query(`SELECT count(*) AS n FROM realtime.${table} WHERE organization_id = $1`, [
      admin.organizationId,
    ]);
    expect([table, rows[0].n]).toEqual([table, 0]);
  }
});
