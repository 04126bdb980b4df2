import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshClickHouseDatabase, freshServiceDatabase, type TestDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import type { Producer } from '@worktide/event-log';
import { type ObjectStore, openObjectStore } from '@worktide/object-store';
import {
  type Caller,
  createLifecycle,
  createMetrics,
  type Lifecycle,
  type Metrics,
  type Role,
  serve,
  silentLogger,
  unauthorized,
  uuidv7,
} from '@worktide/runtime';
import {
  createCodec,
  type ExportJob,
  type ExportsRecord,
  exportsRecord,
  openSchemaRegistry,
  organizationSettings,
  topics,
} from '@worktide/schemas';
import { type Answer, call, expectStatus, until } from '@worktide/testing';
import { unzipSync } from 'fflate';
import readWorkbook from 'read-excel-file/node';
import { database, migrationsFolder } from '../index.ts';
import type { Column } from './columns.ts';
import { type Exports, openExports } from './open.ts';

const log = silentLogger();
/** There is no replica. */
const noMarks = { get: async () => undefined, set: async () => {} };

/** Stands before a server, and can make it go away, or be silent. */
export interface Way {
  url: string;
  /** Whoever is connected is cut off, and nobody gets through any more. */
  away(): void;
  /** What is sent reaches nobody, and nothing comes back. */
  silent(): void;
  back(): void;
  close(): void;
}

export async function wayTo(url: string): Promise<Way> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let state: 'there' | 'away' | 'silent' = 'there';
  const server = createServer((near) => {
    if (state === 'away') return void near.destroy();
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => void (state === 'there' && to.write(chunk)));
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = new URL(url);
  near.hostname = '127.0.0.1';
  near.port = String((server.address() as AddressInfo).port);
  const cut = (next: typeof state): void => {
    state = next;
    if (next !== 'silent') for (const socket of sockets) socket.destroy();
  };
  return {
    url: near.href,
    away: () => cut('away'),
    silent: () => cut('silent'),
    back: () => cut('there'),
    close() {
      cut('away');
      server.close();
    },
  };
}

export const organizationId = randomUUID();
const person = (role: Role, timezone: string, of = organizationId): Caller => ({
  organizationId: of,
  userId: randomUUID(),
  role,
  timezone,
  sessionId: randomUUID(),
});
/** Those who ask; they are told by their names. */
export const people = {
  admin: person('admin', 'UTC'),
  manager: person('manager', 'America/New_York'),
  employee: person('employee', 'Asia/Kathmandu'),
  colleague: person('employee', 'Pacific/Apia'),
  lead: person('employee', 'Europe/Berlin'),
  stranger: person('admin', 'UTC', randomUUID()),
};
export type Name = keyof typeof people;
export const teamId = randomUUID();

/** The engines of a test file, and what begins services on them. */
export interface World {
  clickhouse: ClickHouse;
  clickhouseWay: Way;
  database: TestDatabase;
  postgresWay: Way;
  store: ObjectStore;
  /** Where the files lie; it can be taken away. */
  folder: { away(): Promise<void>; back(): Promise<void> };
  /** What was written into the audit trail. */
  told: { action: string; entityId: string; after?: object | null }[];
  looked: string[];
  /** What topic `exports` was told. */
  published: ExportsRecord[];
  start(options?: { config?: Record<string, number>; direct?: boolean }): Promise<Running>;
  close(): Promise<void>;
}

export interface Running {
  url: string;
  exports: Exports;
  metrics: Metrics;
  lifecycle: Lifecycle;
  ask(as: Name, method: string, path?: string, body?: object): Promise<Answer>;
  /** Makes an export. @returns its id. */
  make(as: Name, body: object): Promise<string>;
  get(as: Name, id: string): Promise<ExportJob>;
  /** Waits until it is this. */
  untilIs(as: Name, id: string, status: ExportJob['status']): Promise<ExportJob>;
  file(job: ExportJob): Promise<{ bytes: Buffer; headers: Headers }>;
  close(): Promise<void>;
}

export async function startWorld(): Promise<World> {
  const [clickhouseDatabase, postgres] = await Promise.all([freshClickHouseDatabase(), freshServiceDatabase(database)]);
  await migrateClickHouse(clickhouseDatabase.url, migrationsFolder, { log });
  const clickhouse = createClickHouse(clickhouseDatabase.url, { log });
  const [clickhouseWay, postgresWay] = await Promise.all([wayTo(clickhouseDatabase.url), wayTo(postgres.url)]);
  const root = await mkdtemp(join(tmpdir(), 'exports-'));
  const secret = 'signing-secret-of-tests-0123456789abcdef';
  const storeUrl = `file:${join(root, 'store')}`;
  const store = openObjectStore(storeUrl, { log, metrics: createMetrics(), signingSecret: secret });
  const told: World['told'] = [];
  const looked: string[] = [];
  const published: ExportsRecord[] = [];
  const registry = openSchemaRegistry('local:');
  const codec = createCodec(registry, topics.exports);
  const producer: Producer = {
    send: async (_topic, records) => {
      published.push(...records.map(({ value }) => exportsRecord.parse(codec.decode(value))));
    },
    queuedBytes: 0,
    flush: async () => {},
    close: async () => {},
  };
  const lifecycles = new Set<Lifecycle>();

  async function start({ config = {}, direct = false } = {} as { config?: Record<string, number>; direct?: boolean }) {
    const lifecycle = createLifecycle({ log });
    lifecycles.add(lifecycle);
    const metrics = createMetrics();
    const exports = openExports(
      {
        POSTGRES_READ_URL: undefined,
        POSTGRES_URL: direct ? postgres.url : postgresWay.url,
        CLICKHOUSE_URL: direct ? clickhouseDatabase.url : clickhouseWay.url,
        OBJECT_STORE_URL: storeUrl,
        OBJECT_SIGNING_SECRET: secret,
        PUBLIC_URL: undefined,
        EXPORT_CONCURRENCY: 2,
        EXPORT_MAX_ROWS: 1_000_000,
        EXPORT_MAX_BYTES: 1_000_000_000,
        EXPORT_MAX_STORED_BYTES: 10_000_000_000,
        ...config,
      },
      { lifecycle, log, metrics, eventLog: { producer: () => producer }, registry, keyValue: noMarks },
      { pollMs: 50, leaseMs: 2_000, retryMs: 100 },
    );
    const service = {
      name: 'analytics',
      checks: {},
      sideChecks: exports.checks,
      wrote: exports.wrote,
      authenticate: async (authorization: string | undefined) => {
        const caller = people[authorization?.slice('Bearer '.length) as Name];
        if (!caller) throw unauthorized();
        return caller;
      },
      routes: exports.routes({
        audit: { tell: (_organization, _source, actions) => void told.push(...actions) },
        looks: {
          note: (_organization, source, look) => void looked.push(`${source.actorId} ${look.action} ${look.entityId}`),
        },
        leads: {
          of: async ({ userId }) =>
            userId === people.lead.userId
              ? { teamIds: new Set([teamId]), userIds: new Set([people.lead.userId, people.employee.userId]) }
              : { teamIds: new Set<string>(), userIds: new Set<string>() },
        },
        findUser: async (organization, userId) => {
          const found = Object.entries(people).find(
            ([, p]) => p.organizationId === organization && p.userId === userId,
          );
          if (!found) return undefined;
          const [name, { role, timezone }] = found;
          return { id: userId, organizationId: organization, name, role, timezone, status: 'active' as const };
        },
        organization: async (id) => ({
          id,
          timezone: 'UTC',
          subscriptionStatus: 'pro' as const,
          settings: organizationSettings.parse({ weekStart: 'sunday' }),
        }),
      }),
      rawRoutes: exports.rawRoutes,
    };
    const { url } = await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 });
    const running: Running = {
      url,
      exports,
      metrics,
      lifecycle,
      ask: (as, method, path = '', body) =>
        call(url, method, `/api/v1/reports/exports${path}`, { bearer: as, ...(body ? { body } : {}) }),
      make: async (as, body) =>
        expectStatus(await running.ask(as, 'post', '', { format: 'json', ...body }), 202).exportId,
      get: async (as, id) => expectStatus(await running.ask(as, 'get', `/${id}`), 200),
      untilIs: (as, id, status) =>
        until(`${id} ${status}`, async () => {
          const job = await running.get(as, id);
          if (job.status === status) return job;
          throw new Error(JSON.stringify(job));
        }),
      async file(job) {
        const response = await fetch(new URL(job.url!, url));
        if (!response.ok) throw new Error(`${response.status}`);
        return { bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers };
      },
      close: async () => void (await lifecycle.close()),
    };
    return running;
  }

  return {
    clickhouse,
    clickhouseWay,
    database: postgres,
    postgresWay,
    store,
    folder: {
      away: () => rename(join(root, 'store'), join(root, 'gone')),
      back: () => rename(join(root, 'gone'), join(root, 'store')),
    },
    told,
    looked,
    published,
    start,
    async close() {
      await Promise.all([...lifecycles].map((lifecycle) => lifecycle.close()));
      await store.close();
      clickhouseWay.close();
      postgresWay.close();
      await clickhouse.close();
      await clickhouseDatabase.drop();
      await postgres.drop();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** A usage entry of a quarter of an hour. */
export const usageEntry = (startedAt: number, more: object = {}) => ({
  id: uuidv7(),
  startedAt,
  endedAt: startedAt + 900_000,
  deviceId: 'laptop',
  source: 'window',
  app: 'editor',
  host: 'example.com' as string | null,
  state: 'active' as 'active' | 'idle',
  version: 1,
  deleted: false,
  ...more,
});

/** The sheets of a workbook, read by somebody else's library, which trims nothing. */
export async function readSheets(file: Buffer): Promise<{ name: string; rows: unknown[][]; xml: string }[]> {
  const parts = unzipSync(file);
  const sheets = await readWorkbook(file, { trim: false });
  return sheets.map(({ sheet, data }, i) => ({
    name: sheet,
    rows: data,
    xml: Buffer.from(parts[`xl/worksheets/sheet${i + 1}.xml`]!).toString(),
  }));
}

/** The cells of a CSV, by RFC 4180 alone. @throws Error where it is none. */
export function readCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y;
  cell.lastIndex = text.startsWith('\ufeff') ? 1 : 0;
  while (cell.lastIndex < text.length) {
    const at = cell.lastIndex;
    const found = cell.exec(text);
    if (!found) throw new Error(`no CSV at ${at}: ${JSON.stringify(text.slice(at, at + 40))}`);
    row.push(found[1] === undefined ? found[2]! : found[1].replaceAll('""', '"'));
    if (found[3] === '\r\n') {
      rows.push(row);
      row = [];
    }
  }
  return rows;
}

/** The types that ClickHouse has for the columns of a file. */
const types: Record<Column['type'], string> = {
  text: 'String',
  date: 'Date32',
  instant: "DateTime64(3, 'UTC')",
  seconds: 'Int32',
  count: 'Int64',
  score: 'Float64',
  flag: 'Bool',
  list: 'String',
  fields: 'String',
};

/** The rows of a Parquet file, read by ClickHouse, in their order. */
export async function readParquet(
  clickhouse: ClickHouse,
  file: Buffer,
  columns: readonly Column[],
): Promise<Record<string, unknown>[]> {
  const table = `read_${randomUUID().replaceAll('-', '')}`;
  const typed = columns.map(({ name, type }) => `\`${name}\` Nullable(${types[type]})`);
  await clickhouse.command(`CREATE TABLE ${table} (${typed.join(', ')}) ENGINE = Memory`);
  const names = columns.map(({ name }) => `\`${name}\``);
  await clickhouse.insert({
    table,
    columns: names,
    format: 'Parquet',
    data: [file],
    settings: { max_insert_threads: '1' },
  });
  const shown = columns.map(({ name, type }) =>
    type === 'instant' ? `toUnixTimestamp64Milli(\`${name}\`) AS \`${name}\`` : `\`${name}\``,
  );
  const settings = { max_threads: 1, output_format_json_quote_64bit_integers: 0 } as const;
  return clickhouse.query(`SELECT ${shown.join(', ')} FROM ${table}`, { settings });
}
