import { createHash, randomBytes } from 'node:crypto';
import { ClickHouseError } from '@clickhouse/client';
import { type ClickHouse, createClickHouse } from '@worktide/clickhouse';
import {
  type AccountTables,
  accountStatements,
  type CatalogRow,
  catalogSql,
  endAccountStatements,
  tablesIn,
  viewsOf,
} from '@worktide/clickhouse/gate';
import { AppError, conflict, describeError, type Logger, notFound, unavailable, uuidv7 } from '@worktide/runtime';
import { storeStates } from '../ingest/states.ts';

/** Accounts of one organisation at a time. */
const maxAccounts = 10;
/** ACCESS_DENIED, ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND: this server keeps no users, or not by us. */
const keepsNoUsers = new Set(['497', '514']);

export interface AnalystAccount {
  id: string;
  name: string;
  user: string;
  url: string;
  database: string;
  createdAt: string;
  createdBy: string;
}

interface Row {
  organizationId: string;
  id: string;
  name: string;
  user: string;
  passwordSha256: string;
  createdMs: number;
  createdBy: string;
}

export interface AnalystAccounts {
  /** @throws AppError 409 `TOO_MANY_ACCOUNTS`; 503, also where the server would not let the account in. */
  create(organizationId: string, createdBy: string, name: string): Promise<AnalystAccount & { password: string }>;
  list(organizationId: string): Promise<AnalystAccount[]>;
  /** @throws AppError 404. */
  remove(organizationId: string, id: string): Promise<AnalystAccount>;
  /** Ends all of an organisation's. */
  removeAll(organizationId: string): Promise<void>;
  /** Gives every account what a migration has added since it was made. */
  renew(): Promise<void>;
}

/**
 * Accounts of ClickHouse for analysts. Table `analyst_accounts` says which there are. On a server that keeps users each is a
 * user, with policies, quota and limits of its own; the embedded server looks into the table itself. Which of them a server
 * is nobody asks: an account is handed out once it has been logged in with.
 * @param publicUrl where analysts reach the server.
 */
export function openAccounts(
  clickhouse: ClickHouse,
  options: { url: string; publicUrl: string; log: Logger },
): AnalystAccounts {
  const { log } = options;
  const serviceUrl = new URL(options.url);
  const database = decodeURIComponent(serviceUrl.pathname.slice(1)) || 'default';
  const serviceUser = decodeURIComponent(serviceUrl.username) || 'default';
  const publicUrl = new URL(options.publicUrl).origin;

  const shown = ({ id, name, user, createdMs, createdBy }: Row): AnalystAccount => {
    const createdAt = new Date(createdMs).toISOString();
    return { id, name, user, url: publicUrl, database: viewsOf(database), createdAt, createdBy };
  };

  const rowsOf = (condition: string, params: Record<string, unknown>): Promise<Row[]> =>
    clickhouse.query<Row>(
      `SELECT organization_id AS organizationId, id, name, user, password_sha256 AS passwordSha256,
         toInt64(toUnixTimestamp64Milli(created_at)) AS createdMs, created_by AS createdBy
       FROM analyst_accounts FINAL WHERE deleted = 0 AND ${condition} ORDER BY created_at, id`,
      { params, settings: { output_format_json_quote_64bit_integers: 0 } },
    );

  async function write(row: Row, deleted: boolean): Promise<void> {
    const { organizationId, id, name, user, passwordSha256, createdMs, createdBy } = row;
    const state = {
      organization_id: organizationId,
      id,
      name,
      user,
      password_sha256: passwordSha256,
      created_at: new Date(createdMs).toISOString(),
      created_by: createdBy,
      version: Date.now() * 1_000 + (deleted ? 1 : 0),
      deleted: deleted ? 1 : 0,
    };
    await storeStates(clickhouse, new Map([['analyst_accounts', [state]]]));
  }

  async function tables(): Promise<AccountTables> {
    const [rows, views] = await Promise.all([
      clickhouse.query<CatalogRow>(catalogSql(database)),
      clickhouse.query<{ text: string }>(
        'SELECT as_select AS text FROM system.tables WHERE database = {views:String}',
        { params: { views: viewsOf(database) } },
      ),
    ]);
    const owned = rows.filter((row) => row.database === database && row.isOwned).map(({ name }) => name);
    const read = tablesIn(
      database,
      views.map(({ text }) => text),
    );
    return { database, owned, read: owned.filter((name) => read.has(name)) };
  }

  /** Resolves with whether the server keeps users. */
  async function runAll(statements: readonly string[]): Promise<boolean> {
    for (const statement of statements) {
      try {
        await clickhouse.command(statement);
      } catch (error) {
        if (error instanceof ClickHouseError && keepsNoUsers.has(error.code)) return false;
        // What it says may quote the statement, and so a digest.
        throw error instanceof AppError ? error : unavailable('clickhouse');
      }
    }
    return true;
  }

  /** Rejects 503 where the server does not let it in. */
  async function logIn(user: string, password: string): Promise<void> {
    const url = new URL(serviceUrl);
    url.username = user;
    url.password = password;
    url.pathname = `/${viewsOf(database)}`;
    const account = createClickHouse(url.href, { log, application: 'worktide-accounts', maxConnections: 1 });
    try {
      await account.query('SELECT 1');
    } catch (error) {
      log.error(
        { err: error },
        `an account for analysts cannot log in: the user of CLICKHOUSE_URL needs access management on a server that keeps users: ${describeError(error)}`,
      );
      throw unavailable('clickhouse', error);
    } finally {
      await account.close();
    }
  }

  async function end(row: Row): Promise<void> {
    await runAll(endAccountStatements(row.user, await tables()));
    await write(row, true);
  }

  return {
    async create(organizationId, createdBy, name) {
      const there = await rowsOf('organization_id = {organizationId:UUID}', { organizationId });
      if (there.length >= maxAccounts) {
        throw conflict('TOO_MANY_ACCOUNTS', `An organisation may have ${maxAccounts} accounts; remove one first.`);
      }
      const id = uuidv7();
      const password = randomBytes(32).toString('base64url');
      const passwordSha256 = createHash('sha256').update(password).digest('hex');
      const user = `analyst_${id.replaceAll('-', '')}`;
      const row: Row = { organizationId, id, name, user, passwordSha256, createdMs: Date.now(), createdBy };
      await write(row, false);
      try {
        await runAll(accountStatements(row, await tables(), serviceUser));
        await logIn(user, password);
      } catch (error) {
        await end(row).catch((cause: unknown) =>
          log.warn({ err: cause }, 'an account that failed is left in the table'),
        );
        throw error;
      }
      return { ...shown(row), password };
    },
    async list(organizationId) {
      return (await rowsOf('organization_id = {organizationId:UUID}', { organizationId })).map(shown);
    },
    async remove(organizationId, id) {
      const [row] = await rowsOf('organization_id = {organizationId:UUID} AND id = {id:UUID}', { organizationId, id });
      if (!row) throw notFound('There is no such account here.');
      await end(row);
      return shown(row);
    },
    async removeAll(organizationId) {
      for (const row of await rowsOf('organization_id = {organizationId:UUID}', { organizationId })) await end(row);
    },
    async renew() {
      const all = await rowsOf('1', {});
      if (all.length === 0) return;
      const there = await tables();
      for (const row of all) if (!(await runAll(accountStatements(row, there, serviceUser)))) return;
    },
  };
}
