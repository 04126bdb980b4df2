import { argon2Sync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { openEventLog } from '@worktide/event-log';
import {
  createLifecycle,
  createMetrics,
  httpOptions,
  loadConfig,
  type Metrics,
  type Role,
  type ServeOptions,
  serve,
  silentLogger,
  uuidv7,
} from '@worktide/runtime';
import {
  type AuditEvent,
  allTopics,
  auditRecord,
  type Revocation,
  type SignedIn,
  topics,
  type UserStatus,
} from '@worktide/schemas';
import { type Answer, call, type CallOptions as Options, until } from '@worktide/testing';
import { configSchema, database, run } from './index.ts';
import { type ReceivedMail, readMails } from './mail/testing.ts';

/** Helpers of this service's tests: the service on a real database, spoken to over HTTP. */

export const internalToken = 'internal-token-of-tests-0123456789abcdef';

export interface CallOptions extends Pick<Options, 'body' | 'headers'> {
  token?: string | undefined;
}

export interface Running {
  url: string;
  metrics: Metrics;
  /** Where its audit events go. */
  eventLogUrl: string;
  /** Mails to an address so far, in the order of their sending; SMTP_URL is a folder unless a test says otherwise. */
  mailsTo(address: string): Promise<ReceivedMail[]>;
  /** Polls until there are so many, and gives the last; fails after half a minute. */
  mailTo(address: string, count?: number): Promise<ReceivedMail>;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
}

/** One process of the service; several may share a database. */
export async function startAuth(
  postgresUrl: string,
  env: Record<string, string> = {},
  options: Pick<ServeOptions, 'handlerTimeoutMs' | 'bodyGraceMs'> = {},
): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'worktide-auth-'));
  const log = silentLogger();
  const metrics = createMetrics();
  const lifecycle = createLifecycle({ log });
  const config = loadConfig(configSchema, {
    POSTGRES_URL: postgresUrl,
    EVENT_LOG_URL: `lmdb:${join(folder, 'log')}`,
    SMTP_URL: `file:${join(folder, 'mail')}`,
    VERIFY_ADDRESSES: 'false',
    INTERNAL_TOKEN: internalToken,
    LOGIN_LIMIT_PER_MINUTE: '10000',
    REGISTER_LIMIT_PER_MINUTE: '10000',
    MAIL_LIMIT_PER_MINUTE: '10000',
    INVITE_LIMIT_PER_MINUTE: '10000',
    IP_LIMIT_PER_MINUTE: '100000',
    HOST: '127.0.0.1',
    PORT: '0',
    ...env,
  });
  const eventLog = openEventLog(config.EVENT_LOG_URL, { clientId: 'auth-test', log, metrics: createMetrics() });
  // Another log is away on purpose.
  if (env.EVENT_LOG_URL === undefined) await eventLog.admin.ensureTopics(allTopics());
  lifecycle.onClose('event log of the test', () => eventLog.close());
  const service = await run(config, { lifecycle, log, metrics }).catch(async (error: unknown) => {
    await lifecycle.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  const { url } = await serve({
    services: [service],
    lifecycle,
    log,
    metrics,
    ...httpOptions(config),
    ...options,
  });
  const mailsTo = (address: string): Promise<ReceivedMail[]> =>
    readMails((config.SMTP_URL ?? '').slice('file:'.length), address);
  return {
    url,
    metrics,
    eventLogUrl: config.EVENT_LOG_URL,
    mailsTo,
    async mailTo(address, count = 1) {
      await until(`${count} mails to ${address}`, async () => (await mailsTo(address)).length >= count);
      return (await mailsTo(address)).at(-1)!;
    },
    call: (method, path, { token, ...options } = {}) => call(url, method, path, { bearer: token, ...options }),
    async close() {
      await lifecycle.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type { TestDatabase };

export const authDatabase = (ofItsOwn?: string): Promise<TestDatabase> => freshServiceDatabase(database, ofItsOwn);

/** What the log has been told of an organisation, in order; it may lag behind the answers: poll. */
export async function auditEventsOf(eventLogUrl: string, organizationId: string): Promise<AuditEvent[]> {
  const eventLog = openEventLog(eventLogUrl, {
    clientId: 'auth-test-audit',
    log: silentLogger(),
    metrics: createMetrics(),
  });
  try {
    const { name, partitions } = topics.audit;
    const pages = await Promise.all(
      Array.from({ length: partitions }, (_, partition) =>
        eventLog.admin.read(name, { partition, fromOffset: 0, limit: 10_000 }),
      ),
    );
    // The wire format's five bytes, then JSON.
    const records = pages.flat().map(({ value }) => auditRecord.parse(JSON.parse(value!.subarray(5).toString())));
    return records.filter((record) => record.organizationId === organizationId).flatMap(({ events }) => events);
  } finally {
    await eventLog.close();
  }
}

/** Polls for the actions told of an organisation until the given ones are among them; gives all events. */
export async function auditedActions(
  auth: Running,
  organizationId: string,
  ...actions: string[]
): Promise<AuditEvent[]> {
  let events: AuditEvent[] = [];
  await until(`${actions.join(', ')} told`, async () => {
    events = await auditEventsOf(auth.eventLogUrl, organizationId);
    return actions.every((action) => events.some((event) => event.action === action));
  });
  return events;
}

/** Everything in the revocation feed, as other services read it. */
export async function feedOf(auth: Running, organizationId: string): Promise<Revocation[]> {
  const { body } = await auth.call('GET', '/internal/revocations', { token: internalToken });
  return (body.items as Revocation[]).filter((item) => item.organizationId === organizationId);
}

let people = 0;

/** A registration that nobody made before. */
export function newPerson(more: Record<string, unknown> = {}): Record<string, unknown> & { email: string } {
  people++;
  return {
    email: `person-${people}@example.com`,
    password: 'correct horse battery',
    name: `Person ${people}`,
    organizationName: `Company ${people}`,
    ...more,
  } as Record<string, unknown> & { email: string };
}

/** Registers a new organisation; tokens in the body. */
export async function signUp(
  auth: Running,
  more: Record<string, unknown> = {},
): Promise<SignedIn & { refreshToken: string }> {
  const { status, body } = await auth.call('POST', '/api/v1/auth/register', {
    body: newPerson({ refreshTokenIn: 'body', ...more }),
  });
  if (status !== 201) throw new Error(`not registered: ${status} ${JSON.stringify(body)}`);
  return body;
}

const colleaguePassword = 'cheap password';
// With the least work that Argon2id takes, so that many colleagues are made in no time.
const colleagueHash = (() => {
  const salt = Buffer.from('saltsaltsaltsalt');
  const tag = argon2Sync('argon2id', {
    message: colleaguePassword,
    nonce: salt,
    memory: 8,
    passes: 1,
    parallelism: 1,
    tagLength: 32,
  });
  const text = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `$argon2id$v=19$m=8,t=1,p=1$${text(salt)}$${text(tag)}`;
})();

/** Somebody else of an organisation, put there as no route can; logged in unless they are not active. */
export async function addColleague(
  auth: Running,
  database: TestDatabase,
  organizationId: string,
  role: Role,
  status: UserStatus = 'active',
): Promise<{ id: string; email: string; password: string; token: string }> {
  people++;
  const email = `colleague-${people}@example.com`;
  const id = uuidv7();
  await database.admin.query(
    `INSERT INTO auth.users (organization_id, id, email, name, password_hash, role, status, timezone)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'UTC')`,
    [organizationId, id, email, `Colleague ${people}`, colleagueHash, role, status],
  );
  const { body } = await auth.call('POST', '/api/v1/auth/login', { body: { email, password: colleaguePassword } });
  return { id, email, password: colleaguePassword, token: body.accessToken ?? '' };
}
