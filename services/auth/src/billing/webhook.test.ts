import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { metricOf, until } from '@worktide/testing';
import {
  addColleague,
  auditedActions,
  authDatabase,
  feedOf,
  type Running,
  signUp,
  startAuth,
  type TestDatabase,
} from '../testing.ts';

const secret = 'a secret of the billing provider';
const path = '/api/v1/billing/webhook';
const changed = 'organization.subscription-changed';

let database: TestDatabase;
let auth: Running;
let organizationId: string;
let token: string;

beforeAll(async () => {
  database = await authDatabase();
  auth = await startAuth(database.url, { BILLING_WEBHOOK_SECRET: `${secret}, the next one` });
});
beforeEach(async () => {
  const admin = await signUp(auth);
  organizationId = admin.organization.id;
  token = admin.accessToken;
});
afterAll(async () => {
  await auth.close();
  await database.drop();
});

const now = (): number => Math.floor(Date.now() / 1000);
const hmac = (body: string, t: number, key = secret): string =>
  createHmac('sha256', key).update(`${t}.${body}`).digest('hex');
const signed = (body: string, t = now(), key = secret): string => `t=${t},v1=${hmac(body, t, key)}`;

const event = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  id: uuidv7(),
  type: 'subscription.updated',
  organizationId,
  status: 'pro',
  ...more,
});

/** As the provider sends it; the signature is right unless another is given, and none for null. */
function post(value: unknown, header?: string | null) {
  const body = typeof value === 'string' ? value : JSON.stringify(value);
  const signature = header === undefined ? signed(body) : header;
  return auth.call('POST', path, { body, headers: signature === null ? {} : { 'x-worktide-signature': signature } });
}

const plan = async (): Promise<string> =>
  (await auth.call('GET', '/api/v1/organization', { token })).body.subscriptionStatus;

describe('POST /billing/webhook', () => {
  test('sets the plan, tells the feed and the audit trail, and answers 204 without a body', async () => {
    const sent = event();
    const answer = await post(sent);
    expect(answer.status).toBe(204);
    expect(answer.body).toBeUndefined();
    expect(await plan()).toBe('pro');
    expect(await feedOf(auth, organizationId)).toEqual([
      { kind: 'organization', id: organizationId, organizationId, at: expect.any(Number) },
    ]);
    const events = await auditedActions(auth, organizationId, changed);
    expect(events.at(-1)).toMatchObject({
      actorType: 'billing',
      actorId: null,
      entityType: 'organization',
      entityId: organizationId,
      before: { subscriptionStatus: 'trial' },
      after: { subscriptionStatus: 'pro', billingEventId: sent.id },
      requestId: answer.headers.get('x-request-id'),
    });
  });

  test('an event has its effect once, also when it comes twenty times at the same moment', async () => {
    const sent = event({ id: `evt \u{1F4B6} ${uuidv7()}`.padEnd(255, '\u00fc') });
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(sent)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]));
    expect((await post(event({ status: 'free' }))).status).toBe(204);
    // The provider sends an old one again: it is no news.
    expect((await post(sent)).status).toBe(204);
    expect(await plan()).toBe('free');
    const told = (await auditedActions(auth, organizationId, changed)).filter(({ action }) => action === changed);
    expect(told.map(({ after }) => after!.subscriptionStatus)).toEqual(['pro', 'free']);
    expect(await feedOf(auth, organizationId)).toHaveLength(2);
  });

  test('an event that comes late changes nothing any more, however often it comes', async () => {
    const at = (minute: number) => ({ occurredAt: `2026-03-10T12:${minute}:00+02:00` });
    const [first, second] = [event({ status: 'free', ...at(10) }), event({ status: 'pro', ...at(20) })];
    for (const sent of [second, first, second, first]) {
      expect((await post(sent)).status).toBe(204);
      expect(await plan()).toBe('pro');
    }
    // One that changes nothing counts as well; of the same moment the last one does, and so does one without a time.
    for (const [sent, after] of [
      [event(at(40)), 'pro'],
      [event({ status: 'enterprise', ...at(30) }), 'pro'],
      [event({ status: 'enterprise', ...at(40) }), 'enterprise'],
      [event({ status: 'free' }), 'free'],
      [event({ status: 'pro', ...at(39) }), 'free'],
      [event({ status: 'pro', ...at(41) }), 'pro'],
    ] as const) {
      expect((await post(sent)).status).toBe(204);
      expect(await plan()).toBe(after);
    }
    expect(await feedOf(auth, organizationId)).toHaveLength(4);
  });

  test('what changes nothing is told to nobody', async () => {
    expect((await post(event({ status: 'trial' }))).status).toBe(204);
    expect(await feedOf(auth, organizationId)).toEqual([]);
  });

  test('other types are taken without effect, with whatever else is in them', async () => {
    expect((await post({ id: 'x', type: 'invoice.paid', organizationId: 7, status: null })).status).toBe(204);
    expect(await plan()).toBe('trial');
  });

  test('an organisation that does not exist is 404, and the event is as good as new', async () => {
    const id = uuidv7();
    expect(await post(event({ id, organizationId: uuidv7() }))).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND' },
    });
    expect((await post(event({ id }))).status).toBe(204);
    expect(await plan()).toBe('pro');
  });

  test('a downgrade puts nobody out', async () => {
    const people = await Promise.all(
      Array.from({ length: 6 }, () => addColleague(auth, database, organizationId, 'employee')),
    );
    expect((await post(event({ status: 'free' }))).status).toBe(204);
    for (const person of people) {
      expect((await auth.call('GET', '/api/v1/auth/me', { token: person.token })).status).toBe(200);
    }
  });

  test.each([
    ['no JSON', '{', 'MALFORMED_JSON'],
    ['no object', '[]', 'VALIDATION_FAILED'],
    ['no id', { id: undefined }, 'VALIDATION_FAILED'],
    ['an id of 256 characters', { id: 'x'.repeat(256) }, 'VALIDATION_FAILED'],
    ['a time that is none', { occurredAt: '2026-02-30T00:00:00Z' }, 'VALIDATION_FAILED'],
    ['an unknown plan', { status: 'gold' }, 'VALIDATION_FAILED'],
    ['an organisation that is no id', { organizationId: 'acme' }, 'VALIDATION_FAILED'],
  ])('%s, well signed, is 400', async (_name, change, code) => {
    const answer = await post(typeof change === 'string' ? change : event(change));
    expect(answer).toMatchObject({ status: 400, body: { code } });
    expect(await plan()).toBe('trial');
  });
});

describe('the signature', () => {
  const refused = [
    ['missing', () => null, 'SIGNATURE_MISSING'],
    ['empty', () => '', 'SIGNATURE_MISSING'],
    ['no such header', () => 'hello', 'SIGNATURE_INVALID'],
    ['without a time', (body: string) => signed(body).replace(/^t=\d+,/, ''), 'SIGNATURE_INVALID'],
    ['with two times', (body: string) => `t=${now()},${signed(body)}`, 'SIGNATURE_INVALID'],
    ['of another body', (body: string) => signed(`${body} `), 'SIGNATURE_INVALID'],
    [
      'with another time than was signed',
      (body: string) => `t=${now()},v1=${hmac(body, now() - 1)}`,
      'SIGNATURE_INVALID',
    ],
    ['with another secret', (body: string) => signed(body, now(), 'guessed'), 'SIGNATURE_INVALID'],
    ['with the empty secret', (body: string) => signed(body, now(), ''), 'SIGNATURE_INVALID'],
    ['cut short', (body: string) => signed(body).slice(0, -2), 'SIGNATURE_INVALID'],
    ['of another version', (body: string) => signed(body).replace('v1=', 'v0='), 'SIGNATURE_INVALID'],
    ['too old', (body: string) => signed(body, now() - 310), 'SIGNATURE_EXPIRED'],
    ['from the future', (body: string) => signed(body, now() + 310), 'SIGNATURE_EXPIRED'],
  ] as const;

  test.each(refused)('%s is 401 and changes nothing', async (_name, header, code) => {
    const body = JSON.stringify(event());
    expect(await post(body, header(body))).toMatchObject({ status: 401, body: { code } });
    expect(await plan()).toBe('trial');
    const { rowCount } = await database.admin.query('SELECT 1 FROM auth.billing_events WHERE organization_id = $1', [
      organizationId,
    ]);
    expect(rowCount).toBe(0);
  });

  test.each([
    ['almost five minutes old', (body: string) => signed(body, now() - 290)],
    ['almost five minutes ahead', (body: string) => signed(body, now() + 290)],
    [
      'in capitals, with spaces and other fields',
      (body: string) => {
        const t = now();
        return `v0=abc, t=${t} , v1=${hmac(body, t).toUpperCase()}, x`;
      },
    ],
    ['by the second secret', (body: string) => signed(body, now(), 'the next one')],
    ['the second of two', (body: string) => `${signed(body, now(), 'of before')},v1=${hmac(body, now())}`],
  ])('%s is taken', async (_name, header) => {
    const body = JSON.stringify(event());
    expect((await post(body, header(body))).status).toBe(204);
    expect(await plan()).toBe('pro');
  });

  test('is over the bytes: a body written otherwise is as good as its own signature', async () => {
    const body = `\ufeff ${JSON.stringify(event(), null, 4)}\n`;
    expect((await post(body)).status).toBe(204);
    expect((await post(body.trim(), signed(body))).status).toBe(401);
  });
});

describe('bad bodies', () => {
  test('more than 100 kB is 413, whether or not it says so', async () => {
    const large = JSON.stringify(event({ padding: 'x'.repeat(100_000) }));
    expect(await post(large)).toMatchObject({ status: 413, body: { code: 'BODY_TOO_LARGE' } });
    const response = await fetch(auth.url + path, {
      method: 'POST',
      headers: { 'x-worktide-signature': signed(large) },
      body: new Blob([large]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(413);
    await response.text();
  });

  test('compressed is 415', async () => {
    const body = JSON.stringify(event());
    const answer = await auth.call('POST', path, {
      body,
      headers: { 'x-worktide-signature': signed(body), 'content-encoding': 'gzip' },
    });
    expect(answer).toMatchObject({ status: 415, body: { code: 'UNSUPPORTED_ENCODING' } });
  });

  test('one that ends early has no effect, and the service goes on', async () => {
    const body = JSON.stringify(event());
    await new Promise<void>((resolve, reject) => {
      const socket = connect(Number(new URL(auth.url).port), '127.0.0.1', () => {
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Worktide-Signature: ${signed(body)}\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body.slice(0, -1)}`,
          () => socket.destroy(),
        );
      });
      socket.once('error', reject);
      socket.once('close', () => resolve());
    });
    expect(await plan()).toBe('trial');
    expect((await post(body)).status).toBe(204);
  });

  test('one that comes byte by byte is answered 408 and cut, and holds nothing after that', async () => {
    const slow = await startAuth(database.url, { BILLING_WEBHOOK_SECRET: secret }, { bodyGraceMs: 10 });
    const body = JSON.stringify(event());
    const socket = connect(Number(new URL(slow.url).port), '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Worktide-Signature: ${signed(body)}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body[0]}`,
    );
    await once(socket, 'close');
    expect(received).toMatch(/^HTTP\/1\.1 408 /);
    expect(received).toContain('"code":"REQUEST_TOO_SLOW"');
    await until('its handler ends', async () => (await metricOf(slow.metrics, 'worktide_http_handlers')) === 0);
    expect(await plan()).toBe('trial');
    await slow.close();
  });
});

test('without a secret it is 503, whatever is sent; and so it is while the database is away', async () => {
  const unset = await startAuth(database.url);
  const body = JSON.stringify(event());
  const send = (running: Running, key: string) =>
    running.call('POST', path, { body, headers: { 'x-worktide-signature': signed(body, now(), key) } });
  expect(await send(unset, '')).toMatchObject({ status: 503, body: { code: 'BILLING_NOT_CONFIGURED' } });
  await unset.close();
  const url = new URL(database.url);
  url.port = '1';
  const lost = await startAuth(url.href, { BILLING_WEBHOOK_SECRET: secret });
  const answer = await send(lost, secret);
  expect(answer).toMatchObject({ status: 503, body: { code: 'DEPENDENCY_UNAVAILABLE' } });
  expect(answer.headers.get('retry-after')).toBe('1');
  await lost.close();
  expect(await plan()).toBe('trial');
});
