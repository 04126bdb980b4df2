import { viewsOf } from '../views.ts';
import { defaultLimits } from './limits.ts';

/** What an account of ClickHouse's is made of. */
export interface Account {
  user: string;
  /** Hex SHA-256 of its password. */
  passwordSha256: string;
  organizationId: string;
}

/** Of a user whom `Account` names. */
export const accountUser = /^analyst_[0-9a-f]{32}$/;

/** What a database has that an account must be kept from, or let to. */
export interface AccountTables {
  database: string;
  /** Tables with an organisation in each row. */
  owned: readonly string[];
  /** Those of them that the views read. */
  read: readonly string[];
}

/** Settings of an account: what they are, and what its own queries may make of them. */
const settings = [
  'readonly = 2 CONST',
  'allow_ddl = 0 CONST',
  'allow_introspection_functions = 0 CONST',
  `max_execution_time = ${defaultLimits.seconds} MIN 1 MAX ${defaultLimits.seconds}`,
  `max_memory_usage = ${defaultLimits.memoryBytes} MIN 1 MAX ${defaultLimits.memoryBytes}`,
  `max_memory_usage_for_user = ${defaultLimits.memoryBytes * 2} CONST`,
  `max_threads = ${defaultLimits.threads} MIN 1 MAX ${defaultLimits.threads}`,
  `max_rows_to_read = ${defaultLimits.rowsRead} MIN 1 MAX ${defaultLimits.rowsRead}`,
  `max_bytes_to_read = ${defaultLimits.bytesRead} MIN 1 MAX ${defaultLimits.bytesRead}`,
  'max_concurrent_queries_for_user = 2 CONST',
  'function_range_max_elements_in_block = 1000000 CONST',
  "read_overflow_mode = 'throw' CONST",
  "timeout_overflow_mode = 'throw' CONST",
  'priority = 10 CONST',
  'join_use_nulls = 0 CONST',
  'final = 0 CONST',
  "additional_table_filters = '{}' CONST",
  'cancel_http_readonly_queries_on_client_close = 1',
  'query_plan_merge_filters = 0 CONST',
];

const idsOnly = (account: Account): void => {
  if (!accountUser.test(account.user) || !/^[0-9a-f]{64}$/.test(account.passwordSha256)) {
    throw new TypeError('no account');
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(account.organizationId))
    throw new TypeError('no organisation');
};

/**
 * What makes an account a user of a server that keeps users; each may be run again, after a migration too. Two walls: it may
 * read the views and what is beneath them and nothing else, and of every table it sees the rows of its organisation alone.
 * The policies for whoever runs this (`serviceUser`) leave it what it sees: a policy for one user can hide rows from those
 * who have none. A restrictive one needs a permissive one beside it.
 */
export function accountStatements(account: Account, tables: AccountTables, serviceUser: string): string[] {
  idsOnly(account);
  const { user, passwordSha256, organizationId } = account;
  const { database, owned, read } = tables;
  const views = viewsOf(database);
  const on = owned.map((table) => `${database}.\`${table}\``);
  const mine = `organization_id = '${organizationId}'`;
  const service = `\`${serviceUser.replace(/[\\`]/g, '\\$&')}\``;
  return [
    `CREATE ROW POLICY IF NOT EXISTS worktide_service ON ${on.join(', ')} USING 1 AS PERMISSIVE TO ${service}`,
    // Before the user is there, so that it never sees more.
    `CREATE USER IF NOT EXISTS ${user} IDENTIFIED WITH sha256_hash BY '${passwordSha256}' HOST ANY DEFAULT DATABASE ${views} SETTINGS ${settings.join(', ')}`,
    `CREATE ROW POLICY OR REPLACE ${user} ON ${on.join(', ')} USING ${mine} AS PERMISSIVE TO ${user}`,
    `CREATE ROW POLICY OR REPLACE ${user}_only ON ${on.join(', ')} USING ${mine} AS RESTRICTIVE TO ${user}`,
    `CREATE QUOTA OR REPLACE ${user} FOR INTERVAL 1 hour MAX queries = 5000, execution_time = 3600 TO ${user}`,
    `GRANT SELECT ON ${views}.* TO ${user}`,
    ...read.map((table) => `GRANT SELECT ON ${database}.\`${table}\` TO ${user}`),
  ];
}

/** What ends an account; each may be run again, and of what is not there. */
export function endAccountStatements(user: string, { database, owned }: AccountTables): string[] {
  if (!accountUser.test(user)) throw new TypeError('no account');
  const on = owned.map((table) => `${database}.\`${table}\``).join(', ');
  return [
    `DROP USER IF EXISTS ${user}`,
    `DROP ROW POLICY IF EXISTS ${user} ON ${on}`,
    `DROP ROW POLICY IF EXISTS ${user}_only ON ${on}`,
    `DROP QUOTA IF EXISTS ${user}`,
  ];
}

/** The tables of a database that a query of its views reads, by their texts. */
export function tablesIn(database: string, texts: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const text of texts) {
    for (const [, name] of text.matchAll(new RegExp(`(?<![\\w.])\`?${database}\`?\\.\`?(\\w+)\`?`, 'g')))
      found.add(name!);
  }
  return found;
}
