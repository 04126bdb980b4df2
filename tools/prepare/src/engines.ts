import { database as agentProtocols } from '@worktide/agent-protocols';
import { database as analytics, migrationsFolder } from '@worktide/analytics';
import { database as auth } from '@worktide/auth';
import { migrateClickHouse } from '@worktide/clickhouse';
import type { EventLog } from '@worktide/event-log';
import { makeBucket } from '@worktide/object-store';
import { ensureDatabase, prepareServiceDatabase, type ServiceDatabase } from '@worktide/postgres';
import { database as realtime } from '@worktide/realtime';
import type { Logger } from '@worktide/runtime';
import { allTopics } from '@worktide/schemas';
import { database as screenshotProcessor } from '@worktide/screenshot-processor';
import { database as sessionWriter } from '@worktide/session-writer';
import { database as workspace } from '@worktide/workspace';

/**
 * What the services have in the engines, in one place: their schemas in PostgreSQL here, the tables of ClickHouse in
 * analytics' folder, the topics in libs/schemas. All of it may be done again, and by several at once.
 */
export const databases = {
  auth,
  'session-writer': sessionWriter,
  workspace,
  'screenshot-processor': screenshotProcessor,
  analytics,
  realtime,
  'agent-protocols': agentProtocols,
} as const satisfies Record<string, ServiceDatabase>;

/** A service with a schema in PostgreSQL. */
export type DatabaseService = keyof typeof databases;
export const databaseServices = Object.keys(databases) as DatabaseService[];

/**
 * Makes the database where it is missing, and in it the role, schema and tables of every service.
 * @param adminUrl a superuser's, or a role's that may create databases and roles; names the database.
 * @returns what each service connects with.
 * @throws as `migrate`, and the signal's reason between two services.
 */
export async function preparePostgres(options: {
  adminUrl: string;
  passwordOf: (service: DatabaseService) => string;
  log: Logger;
  signal?: AbortSignal;
}): Promise<Record<DatabaseService, string>> {
  const { adminUrl, passwordOf, log, signal } = options;
  await ensureDatabase(adminUrl, { log });
  const urls: Partial<Record<DatabaseService, string>> = {};
  for (const service of databaseServices) {
    signal?.throwIfAborted();
    const password = passwordOf(service);
    urls[service] = await prepareServiceDatabase({ adminUrl, database: databases[service], password, log });
  }
  return urls as Record<DatabaseService, string>;
}

/** The name that ClickHouse's database has where nobody says another. */
const clickHouseDatabase = 'worktide';

/**
 * Makes the database and its tables.
 * @param url of somebody who may create them; its path names the database, `worktide` unless it does.
 * @returns the URL with the database.
 * @throws as `migrateClickHouse`.
 */
export async function prepareClickHouse(url: string, options: { log: Logger }): Promise<string> {
  const target = new URL(url);
  if (target.pathname === '/' || target.pathname === '') target.pathname = `/${clickHouseDatabase}`;
  await migrateClickHouse(target.href, migrationsFolder, options);
  return target.href;
}

/** Makes the topics, their dead letters' among them. @throws as `ensureTopics`. */
export const prepareTopics = (eventLog: Pick<EventLog, 'admin'>): Promise<void> =>
  eventLog.admin.ensureTopics(allTopics());

/** Makes the bucket, or the folder, of an object store. @throws AppError 503, and `BAD_CONFIGURATION` for a bad URL. */
export const prepareBucket = (url: string, options: { log: Logger }): Promise<void> => makeBucket(url, options);
