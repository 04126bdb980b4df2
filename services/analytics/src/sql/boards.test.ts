import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { silentLogger } from '@worktide/runtime';
import { migrationsFolder } from '../index.ts';
import { openAccounts } from './accounts.ts';
import { fillTables } from './testing.ts';

interface Board {
  uid: string;
  title: string;
  panels: {
    id: number;
    title: string;
    targets: { rawSql: string }[];
    gridPos: { x: number; y: number; w: number; h: number };
  }[];
  templating: { list: { name: string; type: string; query: string }[] };
}

const folder = fileURLToPath(new URL('../../../../deploy/grafana/analysts/', import.meta.url));
const files = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
const boards: Board[] = await Promise.all(
  files.map(async (name) => JSON.parse(await readFile(`${folder}${name}`, 'utf8')) as Board),
);

/** As the data source's plugin puts in what it knows: the range, and what was chosen (all, or something with a quote in it). */
function expand(sql: string, choice: 'all' | 'one'): string {
  const chosen = "'mine', 'It''s'";
  return sql
    .replace(/\$__conditionalAll\((.+?), \$\w+\)/g, (_, condition: string) => (choice === 'all' ? '1=1' : condition))
    .replace(/\$__timeFilter\((\w+)\)/g, '$1 >= toDateTime(1763596800) AND $1 <= toDateTime(1795305600)')
    .replace(/\$__dateFilter\((\w+)\)/g, "$1 >= toDate('2025-11-20') AND $1 <= toDate('2026-11-21')")
    .replace(/\$__timeInterval\((\w+)\)/g, 'toStartOfInterval(toDateTime($1), INTERVAL 3600 second)')
    .replace(/\$\{\w+:singlequote\}/g, chosen);
}

let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let client: ClickHouseClient;
beforeAll(async () => {
  database = await freshClickHouseDatabase();
  const log = silentLogger();
  clickhouse = createClickHouse(database.url, { log });
  await migrateClickHouse(database.url, migrationsFolder, { log });
  const organizationId = randomUUID();
  await fillTables(clickhouse, organizationId, 'mine');
  await fillTables(clickhouse, randomUUID(), 'theirs');
  const accounts = openAccounts(clickhouse, { url: database.url, publicUrl: database.url, log });
  const {
    url,
    user: username,
    password,
    database: name,
  } = await accounts.create(organizationId, randomUUID(), 'boards');
  client = createClient({ url, username, password, database: name, log: { level: ClickHouseLogLevel.OFF } });
});
afterAll(async () => {
  await client?.close();
  await clickhouse?.close();
  await database?.drop();
});

/** Those whose rows the data of the test has none of. */
const empty = ['attention: Time on several devices at once'];
const short = (file: string): string => file.replace('.json', '');

describe.each(boards.map((board, i) => [short(files[i]!), board] as const))('%s', (file, board) => {
  test.each(board.panels.map(({ title, targets }) => [title, targets] as const))(
    'panel "%s"',
    async (title, targets) => {
      for (const { rawSql } of targets) {
        for (const choice of ['all', 'one'] as const) {
          const sql = expand(rawSql, choice);
          expect(sql).not.toContain('$');
          const rows = await (await client.query({ query: sql, format: 'JSONEachRow' })).json();
          expect({ title, rows: rows.length > 0 || empty.includes(`${file}: ${title}`) }).toEqual({
            title,
            rows: true,
          });
          expect(JSON.stringify(rows)).not.toContain('theirs');
        }
      }
    },
  );

  test.each(
    board.templating.list.filter(({ type }) => type === 'query').map(({ name, query }) => [name, query] as const),
  )('variable "%s"', async (_, query) => {
    const rows = await (await client.query({ query, format: 'JSONEachRow' })).json();
    expect(rows).toEqual([{ name: 'mine' }]);
  });

  test('has panels that do not overlap, each with an id of its own and a data source that is chosen', () => {
    const { panels } = board;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { gridPos: a, title } of panels) {
      expect(a.x + a.w).toBeLessThanOrEqual(24);
      for (const { gridPos: b, title: other } of panels) {
        if (title === other) continue;
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        expect({ title, other, apart }).toEqual({ title, other, apart: true });
      }
    }
    expect(
      JSON.stringify(board)
        .match(/"uid":"[^"]+"/g)!
        .slice(1)
        .every((uid) => /"\$\{datasource\}"$/.test(uid)),
    ).toBe(true);
  });
});

test('every board has an address of its own', () => {
  expect(new Set(boards.map(({ uid }) => uid)).size).toBe(boards.length);
  expect(boards.length).toBeGreaterThan(0);
});
