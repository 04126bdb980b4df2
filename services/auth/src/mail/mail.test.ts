import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { authDatabase, newPerson, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';
import { wordsOf } from './letters.ts';
import { claimMails, type MailKind, queueMail } from './queue.ts';
import { readMails, type SmtpServer, startSmtp } from './testing.ts';
import { openMailTransport } from './transport.ts';

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await authDatabase();
  folder = await mkdtemp(join(tmpdir(), 'worktide-mail-'));
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

// What a test started ends with it, and leaves no mail for the next one's server.
const opened: { close(): Promise<void> }[] = [];
async function start(env: Record<string, string> = {}): Promise<Running> {
  const auth = await startAuth(database.url, env);
  opened.push(auth);
  return auth;
}
async function mailServer(...args: Parameters<typeof startSmtp>): Promise<SmtpServer> {
  const smtp = await startSmtp(...args);
  opened.push(smtp);
  return smtp;
}
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  await database.admin.query('DELETE FROM auth.mails');
});

const count = async (table: 'mails' | 'mail_tokens', userId: string): Promise<number> =>
  (await database.admin.query(`SELECT count(*) AS n FROM auth.${table} WHERE subject_id = $1`, [userId])).rows[0].n;
const metricsOf = async (auth: Running): Promise<string> => (await auth.metrics.render()).text;
/** Instead of waiting for the next attempt. */
const hurry = () => database.admin.query('UPDATE auth.mails SET due_at = now() WHERE attempts > 0');

async function forgetful(auth: Running): Promise<{ id: string; email: string }> {
  const { user } = await signUp(auth);
  const { status } = await auth.call('POST', '/api/v1/auth/password/forgot', { body: { email: user.email } });
  expect(status).toBe(204);
  return user;
}

describe('mails over SMTP', () => {
  test('go to the server with log-in, envelope and headers as they should be', async () => {
    const smtp = await mailServer();
    const auth = await start({
      SMTP_URL: `smtp://mailer:p%40ss@127.0.0.1:${smtp.port}`,
      MAIL_FROM: 'Worktide <no-reply@worktide.example>',
      PUBLIC_URL: 'https://time.example.com/',
    });
    const { email, id } = await forgetful(auth);
    await until('a mail is there', () => smtp.mails.length === 1);
    const { from, to, mail } = smtp.mails[0]!;
    expect(from).toBe('<no-reply@worktide.example>');
    expect(to).toEqual([`<${email}>`]);
    expect(mail.headers).toMatchObject({
      from: 'Worktide <no-reply@worktide.example>',
      to: email,
      'auto-submitted': 'auto-generated',
      'content-type': 'text/plain; charset=utf-8',
    });
    expect(mail.link).toMatch(/^https:\/\/time\.example\.com\/reset-password\?token=[\w-]{22}$/);
    const login = Buffer.from('\u0000mailer\u0000p@ss').toString('base64');
    expect(smtp.commands).toContain(`AUTH PLAIN ${login}`);
    await until('the queue is empty', async () => (await count('mails', id)) === 0);
    expect(await metricsOf(auth)).toContain('worktide_auth_mails_sent_total{kind="password-reset"} 1');
  });

  test('wait while the server is away, show in the metrics, and go when it is back', async () => {
    const first = await mailServer();
    const { port } = first;
    await first.close();
    const auth = await start({ SMTP_URL: `smtp://127.0.0.1:${port}` });
    const { id, email } = await forgetful(auth);
    await until('it was tried', async () =>
      (await metricsOf(auth)).includes('worktide_auth_mail_failures_total{kind="password-reset"} 1'),
    );
    await until('it is measured', async () => /worktide_auth_mails_waiting [1-9]/.test(await metricsOf(auth)));
    expect(await count('mails', id)).toBe(1);
    // Never sent, so nobody has it; while the next attempt runs there is another.
    await until('its token is dead', async () => (await count('mail_tokens', id)) === 0);
    expect((await auth.call('GET', '/health/ready')).status).toBe(200);
    const smtp = await mailServer(undefined, port);
    await hurry();
    await until('the mail is there', () => smtp.mails.some(({ to }) => to[0] === `<${email}>`));
  });

  test.each([
    ['a recipient put off with 451', /^RCPT/, '451 come back later'],
    ['a server that greets with 554', /^connect$/, '554 not today'],
    ['a log-in refused with 535', /^AUTH/, '535 wrong password'],
    ['a mail put off with 452', /^\.$/, '452 no room'],
  ])('%s is tried again, with another token', async (_name, command, reply) => {
    let refuses = true;
    const smtp = await mailServer((line) => (refuses && command.test(line) ? reply : undefined));
    const auth = await start({ SMTP_URL: `smtp://a:b@127.0.0.1:${smtp.port}` });
    const { id } = await forgetful(auth);
    await until('it is put off', async () => {
      const { rows } = await database.admin.query(
        "SELECT 1 FROM auth.mails WHERE subject_id = $1 AND attempts > 0 AND due_at < now() + interval '1 minute'",
        [id],
      );
      return rows.length === 1;
    });
    await until('its token is dead', async () => (await count('mail_tokens', id)) === 0);
    refuses = false;
    await until('the mail is there', () => smtp.mails.length === 1);
    await until('the queue is empty', async () => (await count('mails', id)) === 0);
    const token = smtp.mails[0]!.mail.token;
    const reset = await auth.call('POST', '/api/v1/auth/password/reset', {
      body: { token, password: 'a long phrase' },
    });
    expect(reset.status).toBe(204);
  });

  test.each([
    ['a recipient', /^RCPT/],
    ['a mail', /^\.$/],
  ])('%s refused with 550 is thrown away, counted, and its token dead', async (_name, command) => {
    const smtp = await mailServer((line) => (command.test(line) ? '550 no such mailbox' : undefined));
    const auth = await start({ SMTP_URL: `smtp://127.0.0.1:${smtp.port}` });
    const { id } = await forgetful(auth);
    await until('it is given up', async () =>
      (await metricsOf(auth)).includes('worktide_auth_mails_given_up_total{kind="password-reset",reason="refused"} 1'),
    );
    await until('it is gone', async () => (await count('mails', id)) === 0);
    expect(await count('mail_tokens', id)).toBe(0);
  });

  test('a connection that breaks after the mail leaves its link good: it may have arrived', async () => {
    let breaks = 1;
    const smtp = await mailServer((line) => (line === '.' && breaks-- > 0 ? 'drop' : undefined));
    const auth = await start({ SMTP_URL: `smtp://127.0.0.1:${smtp.port}` });
    const { id } = await forgetful(auth);
    await until('it went at the second attempt', () => smtp.mails.length === 1);
    expect(await metricsOf(auth)).toContain('worktide_auth_mail_failures_total{kind="password-reset"} 1');
    expect(await count('mail_tokens', id)).toBe(2);
  });

  test('what could not be sent for two days is thrown away and counted', async () => {
    const auth = await start({ SMTP_URL: '' });
    const { id } = await forgetful(auth);
    await until('it is queued', async () => (await count('mails', id)) === 1);
    await database.admin.query("UPDATE auth.mails SET created_at = now() - interval '49 hours' WHERE subject_id = $1", [
      id,
    ]);
    await until('it is given up', async () =>
      (await metricsOf(auth)).includes('worktide_auth_mails_given_up_total{kind="password-reset",reason="too-old"} 1'),
    );
    expect(await count('mails', id)).toBe(0);
  });
});

describe('the queue', () => {
  test('holds mails while no way is configured; a replica that has one sends them', async () => {
    const without = await start({ SMTP_URL: '' });
    const { id, email } = await forgetful(without);
    await until('it is queued', async () => (await count('mails', id)) === 1);
    // Again and again is still one mail.
    await without.call('POST', '/api/v1/auth/password/forgot', { body: { email } });
    await until('the request is taken', async () => {
      const { rows } = await database.admin.query('SELECT count(*) AS n FROM auth.password_requests');
      return rows[0].n === 0;
    });
    expect(await count('mails', id)).toBe(1);
    const withFolder = await start();
    expect((await withFolder.mailTo(email)).token).toHaveLength(22);
  });

  test('is shared by replicas: each mail goes once', async () => {
    const env = { SMTP_URL: `file:${join(folder, randomUUID())}` };
    const replicas = await Promise.all([1, 2, 3].map(() => start(env)));
    const users = await Promise.all(Array.from({ length: 12 }, (_, i) => forgetful(replicas[i % 3]!)));
    for (const { id, email } of users) {
      await replicas[0]!.mailTo(email);
      await until('it left the queue', async () => (await count('mails', id)) === 0);
      expect(await replicas[0]!.mailsTo(email)).toHaveLength(1);
    }
  });

  test('gives a mail whose sender died to another replica, after its lease', async () => {
    const without = await start({ SMTP_URL: '' });
    const { id, email } = await forgetful(without);
    await until('it is queued', async () => (await count('mails', id)) === 1);
    await database.admin.query(
      "UPDATE auth.mails SET attempts = 1, due_at = now() + interval '2 minutes' WHERE subject_id = $1",
      [id],
    );
    const other = await start();
    await database.admin.query('UPDATE auth.mails SET due_at = now() WHERE subject_id = $1', [id]);
    await other.mailTo(email);
  });
});

describe('a mail as a file', () => {
  const letter = { to: 'ada@example.com', subject: 'Hello', text: 'Hello\n' };

  test('is whole or not there, for its owner alone, and names sort by time', async () => {
    const path = join(folder, 'new', 'folder');
    const transport = openMailTransport(`file:${path}`, 'Worktide <a@b.example>');
    for (let i = 0; i < 3; i++) await transport.send({ ...letter, subject: `Number ${i}` });
    const names = (await readdir(path)).sort();
    expect(names).toHaveLength(3);
    for (const name of names) expect(name).toMatch(/^\d{8}T\d{9}Z-[\da-f]{8}\.eml$/);
    expect((await stat(join(path, names[0]!))).mode & 0o077).toBe(0);
    const mails = await readMails(path, letter.to);
    expect(mails.every(({ raw }) => !/[^\r]\n/.test(raw))).toBe(true);
  });

  test('has its link whole, however long, and whatever letters stand around it', async () => {
    const path = join(folder, 'links');
    const transport = openMailTransport(`file:${path}`, 'a@b.example');
    const link = `https://${'very-'.repeat(20)}long.example.com/reset-password?token=AAAAAAAAAAAAAAAAAAAA_-`;
    for (const greeting of ['Hello', 'Grüße, Zoë', '東京の会社', '😀', '.', 'From here']) {
      const to = `${randomUUID()}@example.com`;
      const text = `${greeting}\n\n${link}\n\n${greeting}\nBye\n`;
      await transport.send({ to, subject: 'Hello', text });
      const mail = (await readMails(path, to))[0]!;
      expect(mail.link).toBe(link);
      expect(mail.text.trimEnd()).toBe(text.trimEnd());
      // As `grep token=` prints it.
      expect(mail.raw.split('\r\n')).toContain(link);
      expect(mail.raw).not.toMatch(/[^\r\n\t -~]/);
      const encodings = [...mail.raw.matchAll(/^content-transfer-encoding: (.*)\r$/gim)].map(
        ([, encoding]) => encoding,
      );
      expect(encodings).toEqual(/[^ -~]/.test(greeting) ? ['quoted-printable', '7bit', 'quoted-printable'] : ['7bit']);
    }
  });

  test('without a link is quoted-printable where it is not ASCII', async () => {
    const path = join(folder, 'plain');
    await openMailTransport(`file:${path}`, 'a@b.example').send({ ...letter, text: 'Müller & Söhne\n' });
    const mail = (await readMails(path, letter.to))[0]!;
    expect(mail).toMatchObject({ encoding: 'quoted-printable', text: 'Müller & Söhne\n' });
  });

  test.each([
    'a@example.com\r\nBcc: b@example.com',
    'a@example.com, b@example.com',
    'a>,<b@example.com',
    'Ada <a@example.com>',
    '"a\\"@example.com',
    'a;b@example.com',
    'a@example.com\u0000',
  ])('to %j is refused for good', async (to) => {
    const transport = openMailTransport(`file:${join(folder, 'refused')}`, 'a@b.example');
    await expect(transport.send({ ...letter, to })).rejects.toMatchObject({ name: 'MailError', isFinal: true });
    await expect(readdir(join(folder, 'refused'))).rejects.toThrow();
  });

  test('a folder that cannot be written is tried again', async () => {
    const transport = openMailTransport('file:/dev/null/mail', 'a@b.example');
    await expect(transport.send(letter)).rejects.toMatchObject({ name: 'MailError', isFinal: false });
  });

  test.each([
    ['SMTP_URL', 'http://secret.example.com'],
    ['SMTP_URL', 'smtp:'],
    ['SMTP_URL', 'secret'],
    ['MAIL_FROM', 'secret'],
    ['MAIL_FROM', 'secret <a@example.com>\r\nBcc: b@example.com'],
    ['PUBLIC_URL', 'secret'],
    ['PUBLIC_URL', 'https://secret.example.com/?a=b'],
  ])('%s %j is a bad configuration, told without repeating it', async (name, value) => {
    const error = await start({ [name]: value }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'BAD_CONFIGURATION' });
    expect((error as Error).message).toContain(name);
    expect((error as Error).message).not.toContain('secret');
  });
});

describe('what strangers choose', () => {
  test('names with line breaks and addresses with headers are refused where they come in', async () => {
    const auth = await start();
    for (const more of [
      { name: 'Ada\r\nBcc: b@example.com' },
      { organizationName: 'Company\nhttps://evil.example?token=x' },
      { email: 'a@example.com\r\nBcc: b@example.com' },
    ]) {
      const { status } = await auth.call('POST', '/api/v1/auth/register', { body: newPerson(more) });
      expect(status).toBe(400);
    }
  });

  test.each([
    ['https://evil.example/?token=x', 'https evil. example token x'],
    ['Müller & Söhne', 'Müller Söhne'],
    ['a\u2028b\u202ec', 'a b c'],
    ['://', '?'],
    ['Dr. Who 2.0', 'Dr. Who 2.0'],
  ])('%j is written %j', (name, words) => {
    expect(wordsOf(name)).toBe(words);
  });
});

describe('the queue of mails', () => {
  test('goes by turns between organisations, and passwords come before invitations', async () => {
    const client = database.admin;
    const organizations = { greedy: uuidv7(), small: uuidv7(), other: uuidv7() };
    for (const id of Object.values(organizations)) {
      await client.query("INSERT INTO auth.organizations (id, name, timezone) VALUES ($1, 'x', 'UTC')", [id]);
    }
    const queue = (organization: keyof typeof organizations, kind: MailKind, recipient: string): Promise<void> =>
      queueMail(client, { organizationId: organizations[organization], kind, subjectId: uuidv7(), recipient });
    const startedAt = performance.now();
    for (let i = 0; i < 30; i++) await queue('greedy', 'invitation', `greedy-${i}`);
    await queue('small', 'invitation', 'small-0');
    await queue('small', 'invitation', 'small-1');
    await queue('other', 'invitation', 'other-0');
    await queue('other', 'password-changed', 'person');
    // Mails of an organisation stand a second apart: so many of the greedy one's may be before those that came later.
    const before = 1 + Math.ceil((performance.now() - startedAt) / 1_000);
    const order: string[] = [];
    for (let claimed = await claimMails(client, 1); claimed.length > 0; claimed = await claimMails(client, 1)) {
      order.push(claimed[0]!.recipient);
    }
    expect(order.slice(0, 2)).toEqual(['person', 'greedy-0']);
    for (const recipient of ['small-0', 'other-0', 'small-1']) {
      expect(order.indexOf(recipient)).toBeLessThan(before + 6);
    }
    expect(order).toHaveLength(34);
    // Within an organisation as they came.
    const greedy = order.filter((recipient) => recipient.startsWith('greedy'));
    expect(greedy).toEqual(Array.from({ length: 30 }, (_, i) => `greedy-${i}`));
  });
});
