import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { openEventLog } from '@worktide/event-log';
import { openLimits } from '@worktide/key-value';
import { createOutbox, createPool, type Outbox, type Pool } from '@worktide/postgres';
import { createPrivacyGuard, type PrivacyGuard } from '@worktide/privacy';
import {
  type Caller,
  createMetrics,
  type Lifecycle,
  type Metrics,
  serve,
  silentLogger,
  unauthorized,
  uuidv7,
} from '@worktide/runtime';
import {
  allTopics,
  type Codec,
  createCodec,
  type ImportRecord,
  importRecord,
  type KnownOrganization,
  openSchemaRegistry,
  organizationSettings,
  type PrivacyRules,
  topics,
} from '@worktide/schemas';
import { openImports } from './open.ts';
import { findImport, type Owner, showImport } from './store.ts';

/** Helpers of this folder's tests: imports on a real PostgreSQL, a log and a folder for files of their own. */

const log = silentLogger();

export interface TestImports {
  url: string;
  pool: Pool;
  metrics: Metrics;
  /** People by the header that they come with. */
  people: Map<string, Caller>;
  /** A person with an organisation of their own. */
  person(more?: Partial<Caller>): Caller & { header: string };
  post(
    header: string,
    fields: Record<string, string>,
    file?: Blob,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  /** What every organisation keeps of people. */
  rules: { privacy?: PrivacyRules };
  privacy: PrivacyGuard;
  /** All that went to topic `imports`. */
  records(): Promise<ImportRecord[]>;
  outbox: Outbox;
  codec: Codec;
  show(owner: Owner, id: string): Promise<ReturnType<typeof showImport>>;
}

/** @param folder holds the log and the files. */
export async function startImports(
  postgresUrl: string,
  folder: string,
  lifecycle: Lifecycle,
  {
    env = {},
    pace = {},
    forgets = false,
    reads = 10_000,
  }: {
    env?: Partial<Parameters<typeof openImports>[0]>;
    pace?: Parameters<typeof openImports>[2];
    /** The log takes what comes and keeps nothing: the embedded one maps its file into the process that is looked at. */
    forgets?: boolean;
    /** Lists of one user a minute. */
    reads?: number;
  } = {},
): Promise<TestImports> {
  const metrics = createMetrics();
  const eventLog = openEventLog(`lmdb:${folder}/log`, { clientId: 'test', log, metrics });
  lifecycle.onClose('log', () => eventLog.close());
  await eventLog.admin.ensureTopics(allTopics());
  const registry = openSchemaRegistry('local:');
  const limits = openLimits('memory:', { log, metrics });
  lifecycle.onClose('limits', () => limits.close());
  const pool = createPool(postgresUrl, { applicationName: 'imports-test', log });
  lifecycle.onClose('postgres', () => pool.end());
  const outbox = createOutbox({
    schema: 'agent_protocols',
    pool,
    producer: forgets ? { send: async () => {} } : eventLog.producer(),
    log,
    metrics,
    lifecycle,
    graceMs: 500,
  });
  const people = new Map<string, Caller>();
  const authenticate = async (authorization = ''): Promise<Caller> => {
    const caller = people.get(authorization);
    if (!caller) throw unauthorized();
    return caller;
  };
  const rules: TestImports['rules'] = {};
  const organization = async (id: string): Promise<KnownOrganization> => {
    const settings = organizationSettings.parse({});
    return { id, timezone: 'UTC', subscriptionStatus: 'pro', settings, ...rules };
  };
  const findUser = async (organizationId: string, id: string) => {
    const found = [...people.values()].find((one) => one.userId === id);
    const { role = 'employee', timezone = 'UTC' } = found ?? {};
    return { id, organizationId, name: 'Somebody', role, timezone, status: 'active' as const };
  };
  const privacy = createPrivacyGuard({ organization, metrics });
  const imports = await openImports(
    {
      POSTGRES_URL: postgresUrl,
      OBJECT_STORE_URL: `file:${folder}/objects`,
      AUTH_URL: 'http://127.0.0.1:9',
      WORKSPACE_URL: undefined,
      INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
      USAGE_RETENTION_MONTHS: 25,
      IMPORT_MAX_BYTES: 1_200_000_000,
      IMPORT_MAX_STORED_BYTES: 6_000_000_000,
      IMPORT_UPLOAD_SECONDS: 600,
      IMPORT_CONCURRENCY: 1,
      IMPORT_UPLOADS_MAX: 4,
      ...env,
    },
    {
      service: 'agent-protocols',
      eventLog,
      registry,
      outbox,
      identity: { authenticate, findUser, organization },
      privacy,
      limit: limits.window({ name: 'imports', points: 1_000, seconds: 60 }),
      readLimit: limits.window({ name: 'import-reads', points: reads, seconds: 60 }),
      lifecycle,
      log,
      metrics,
    },
    { pollMs: 100, retryMs: 100, ...pace },
  );
  const { routes, rawRoutes } = imports;
  const { url } = await serve({
    services: [{ name: 'agent-protocols', routes, rawRoutes, checks: {}, authenticate }],
    lifecycle,
    log,
    metrics,
    host: '127.0.0.1',
    port: 0,
  });
  const codec = createCodec(registry, topics.imports);
  await codec.prepare();
  return {
    url,
    pool,
    metrics,
    people,
    rules,
    privacy,
    outbox,
    codec,
    person(more = {}) {
      const header = `Bearer ${uuidv7()}`;
      const ids = { organizationId: uuidv7(), userId: uuidv7(), sessionId: uuidv7() };
      const caller: Caller = { ...ids, role: 'employee', timezone: 'UTC', ...more };
      people.set(header, caller);
      return { ...caller, header };
    },
    async post(header, fields, file) {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.set(name, value);
      if (file) form.set('file', file, 'history.json');
      const answer = await fetch(`${url}/api/v1/imports`, {
        method: 'POST',
        headers: { authorization: header },
        body: form,
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    },
    async records() {
      const all: ImportRecord[] = [];
      for (let partition = 0; partition < topics.imports.partitions; partition++) {
        const found = await eventLog.admin.read('imports', { partition, fromOffset: 0, limit: 100_000 });
        all.push(...found.map(({ value }) => importRecord.parse(codec.decode(value))));
      }
      return all;
    },
    async show({ organizationId }, id) {
      return showImport((await findImport(pool, organizationId, id))!);
    },
  };
}

/** A file as a form would send it, without holding it. */
export async function* formOf(fields: Record<string, string>, file: string, boundary: string): AsyncGenerator<Buffer> {
  for (const [name, value] of Object.entries(fields)) {
    yield Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  }
  yield Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="history"\r\n\r\n`);
  await stat(file);
  yield* createReadStream(file, { highWaterMark: 256 * 1024 });
  yield Buffer.from(`\r\n--${boundary}--\r\n`);
}
