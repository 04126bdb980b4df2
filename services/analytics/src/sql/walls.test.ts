import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { AppError, createMetrics, silentLogger } from '@worktide/runtime';
import { migrationsFolder } from '../index.ts';
import { hostileQueries, secret, type Verdict } from './hostile.ts';
import { type Analysts, openAnalysts } from './open.ts';
import { fillTables } from './testing.ts';

const log = silentLogger();
const [mine, other] = [randomUUID(), randomUUID()];
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let analysts: Analysts;
let db: string;

beforeAll(async () => {
  database = await freshClickHouseDatabase();
  db = new URL(database.url).pathname.slice(1);
  clickhouse = createClickHouse(database.url, { log });
  await migrateClickHouse(database.url, migrationsFolder, { log });
  await fillTables(clickhouse, mine, 'mine');
  await fillTables(clickhouse, other, secret);
  const limits = { seconds: 2 };
  analysts = openAnalysts(database.url, { places: 4, log, metrics: createMetrics(), limits });
});
afterAll(async () => {
  await analysts?.close();
  await clickhouse?.close();
  await database?.drop();
});

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
