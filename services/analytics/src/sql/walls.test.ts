import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { accountStatements, endAccountStatements, tablesIn } from '@worktide/clickhouse/gate';
import { AppError, createMetrics, silentLogger } from '@worktide/runtime';
import { migrationsFolder } from '../index.ts';
import { type AnalystAccounts, openAccounts } from './accounts.ts';
import { hostileQueries, secret, type Verdict } from './hostile.ts';
import { type Analysts, openAnalysts } from './open.ts';
import { fillTables } from './testing.ts';

const log = silentLogger();
const [mine, other] = [randomUUID(), randomUUID()];
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let analysts: Analysts;
let db: string;
type Login = Awaited<ReturnType<AnalystAccounts['create']>>;
let account: Login;
let keepsUsers: boolean;

beforeAll(async () => {
  database = await freshClickHouseDatabase();
  db = new URL(database.url).pathname.slice(1);
  clickhouse = createClickHouse(database.url, { log });
  await migrateClickHouse(database.url, migrationsFolder, { log });
  await fillTables(clickhouse, mine, 'mine');
  await fillTables(clickhouse, other, secret);
  const accounts = openAccounts(clickhouse, { url: database.url, publicUrl: database.url, log });
  account = await accounts.create(mine, randomUUID(), 'walls');
  const [kept] = await clickhouse.query<{ n: number }>(
    "SELECT toUInt32(count()) AS n FROM system.user_directories WHERE type != 'users_xml'",
  );
  keepsUsers = kept!.n > 0;
  const limits = { seconds: 2 };
  analysts = openAnalysts(database.url, { places: 4, log, metrics: createMetrics(), limits });
});
afterAll(async () => {
  await analysts?.close();
  await clickhouse?.close();
  await database?.drop();
});

/** A query over HTTP, as an account. */
async function askAs(
  { url, user, password, database: name }: Login,
  sql: string,
  settings: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const response = await fetch(`${url}/?${new URLSearchParams({ database: name, ...settings })}`, {
    method: 'POST',
    headers: { 'x-clickhouse-user': user, 'x-clickhouse-key': password, 'x-clickhouse-format': 'JSONCompactEachRow' },
    body: sql,
  });
  return { status: response.status, text: await response.text() };
}

/** Everything that an answer says. */
async function ask(sql: string): Promise<{ verdict: Verdict | string; text: string }> {
  try {
    const answer = await analysts.query(mine, { sql, format: 'json' });
    return { verdict: 'own rows', text: JSON.stringify('rows' in answer && answer.rows) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { verdict: error.code, text: JSON.stringify([error.message, error.details]) };
  }
}

describe('hostile queries', () => {
  const list = hostileQueries('DB', other);
  test('are many', () => expect(list.length).toBeGreaterThan(150));
  test.each(list.map(([sql, verdict], i) => [sql.slice(0, 90).replace(/[^ -~]/g, '?'), verdict, i] as const))(
    '%s: %s',
    async (_, verdict, i) => {
      const { verdict: got, text } = await ask(hostileQueries(db, other)[i]![0]);
      expect({ got, text }).toMatchObject({ got: verdict });
      expect(text).not.toContain(other);
      if (verdict === 'QUERY_FAILED') expect(text).not.toMatch(new RegExp(`\\b${db}\\b(?!_v1)`));
      if (verdict === 'own rows') expect(text).not.toContain(secret);
    },
  );
});

describe('hostile queries of an account', () => {
  /** What clients are answered beside SELECTs, by the gate; all of it harmless. */
  const answered = [/^EXISTS TABLE/, /FROM system\.one$/];
  test.each(
    hostileQueries('DB', other).map(
      ([sql, verdict], i) => [sql.slice(0, 90).replace(/[^ -~]/g, '?'), verdict, i] as const,
    ),
  )('%s: %s', async (_, verdict, i) => {
    const [sql] = hostileQueries(db, other)[i]!;
    const { status, text } = await askAs(account, sql, { max_execution_time: '2' });
    expect(text).not.toContain(other);
    // A server that keeps users has no gate: what it answers is of the own organisation.
    if (verdict === 'own rows') expect({ status, text: status === 200 || text }).toEqual({ status: 200, text: true });
    else if (!keepsUsers && !answered.some((each) => each.test(sql))) expect(status).not.toBe(200);
    if (status === 200 || verdict === 'QUERY_FAILED') expect(text).not.toContain(secret);
    if (!keepsUsers && verdict === 'QUERY_FAILED') expect(text).not.toMatch(new RegExp(`\\b${db}\\b(?!_v1)`));
  });
});

test('every table has its policies where a server keeps users, and every view reads such tables alone', async () => {
  const owned = await clickhouse.query<{ owned: string }>(
    "SELECT table AS owned FROM system.columns WHERE database = currentDatabase() AND name = 'organization_id' ORDER BY owned",
  );
  const names = owned.map((row) => row.owned);
  const views = await clickhouse.query<{ name: string; text: string }>(
    'SELECT name, as_select AS text FROM system.tables WHERE database = {views:String}',
    { params: { views: `${db}_v1` } },
  );
  const read = tablesIn(
    db,
    views.map(({ text }) => text),
  );
  for (const { name, text } of views) {
    const tables = [...tablesIn(db, [text])];
    expect({ name, tables: tables.length > 0 && tables.every((table) => names.includes(table)) }).toEqual({
      name,
      tables: true,
    });
  }
  expect([...read].sort()).not.toEqual(expect.arrayContaining(['pings']));
  expect([...read].sort()).not.toEqual(expect.arrayContaining(['audit']));
  expect([...read].sort()).not.toEqual(expect.arrayContaining(['analyst_accounts']));

  const user = `analyst_${'0'.repeat(32)}`;
  const tables = { database: db, owned: names, read: [...read] };
  const statements = accountStatements(
    { user, passwordSha256: 'a'.repeat(64), organizationId: mine },
    tables,
    'default',
  );
  const policies = statements.filter((statement) => statement.startsWith('CREATE ROW POLICY'));
  expect(policies.map((policy) => /AS (\w+) TO (\S+)$/.exec(policy)?.slice(1))).toEqual([
    ['PERMISSIVE', '`default`'],
    ['PERMISSIVE', user],
    ['RESTRICTIVE', user],
  ]);
  for (const policy of policies) for (const name of names) expect(policy).toContain(`${db}.\`${name}\``);
  for (const policy of policies.slice(1)) expect(policy).toContain(`USING organization_id = '${mine}'`);
  const settings = [...statements[1]!.split(' SETTINGS ')[1]!.matchAll(/(?:^|, )(\w+) =/g)].map(([, name]) => name!);
  const known = await clickhouse.query('SELECT name FROM system.settings WHERE name IN {names:Array(String)}', {
    params: { names: settings },
  });
  expect(known).toHaveLength(settings.length);
  // The engine understands each, whether or not it can keep users.
  for (const statement of [...statements, ...endAccountStatements(user, tables)]) {
    await expect(clickhouse.command(`EXPLAIN AST ${statement}`)).resolves.toBeUndefined();
  }
});

test('every view shows rows of the own organisation and none of another, and there is one for every kind of thing', async () => {
  const { views } = await analysts.schema();
  for (const { name, columns } of views) {
    const answer = await analysts.query(mine, { sql: `SELECT * FROM ${name}`, format: 'json' });
    if (!('rows' in answer)) throw new Error('no rows');
    expect({ name, rows: answer.rowCount > 0 }).toEqual({ name, rows: true });
    expect(answer.columns.map((column) => column.name)).toEqual(columns.map((column) => column.name));
    expect(JSON.stringify(answer)).not.toMatch(new RegExp(`${secret}|${other}`));
    const theirs = await analysts.query(other, { sql: `SELECT * FROM ${name}`, format: 'json' });
    expect(JSON.stringify(theirs)).toContain(secret);
    const nobody = await analysts.query(randomUUID(), { sql: `SELECT * FROM ${name}`, format: 'json' });
    expect('rows' in nobody && nobody.rowCount).toBe(0);
  }
  expect(views.map(({ name }) => name)).toEqual(
    'alerts app_days days host_days input_minutes people projects screenshots tasks team_members teams time_entries usage'.split(
      ' ',
    ),
  );
});

test('a new table of the database is filtered at once: by its organisation, or entirely', async () => {
  await clickhouse.command('CREATE TABLE owned (organization_id UUID, a String) ENGINE = MergeTree ORDER BY a');
  await clickhouse.command('CREATE TABLE ownerless (a String) ENGINE = MergeTree ORDER BY a');
  await clickhouse.command(`INSERT INTO owned VALUES ('${mine}', 'mine'), ('${other}', '${secret}')`);
  await clickhouse.command(`INSERT INTO ownerless VALUES ('${secret}')`);
  // A view that somebody makes without a thought of organisations.
  await clickhouse.command(
    `CREATE VIEW ${db}_v1.careless (a String) AS SELECT a FROM ${db}.owned UNION ALL SELECT a FROM ${db}.ownerless`,
  );
  const fresh = openAnalysts(database.url, { places: 1, log, metrics: createMetrics() });
  const answer = await fresh.query(mine, { sql: 'SELECT a FROM careless', format: 'json' });
  expect(answer).toMatchObject({ rows: [['mine']] });
  await fresh.close();
  await clickhouse.command(`DROP VIEW ${db}_v1.careless`);
});
