import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { silentLogger, uuidv7 } from '@worktide/runtime';
import { type PingEvent, privacyPreview, privacyPreviewBody } from '@worktide/schemas';
import { migrationsFolder } from '../index.ts';
import { pingsTable } from '../ingest/tables.ts';
import { store } from '../ingest/testing.ts';
import { previewPrivacy } from './preview.ts';

const log = silentLogger();
const organizationId = uuidv7();
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
/** Today's and yesterday's midnight. */
const today = Math.floor(Date.now() / 86_400_000) * 86_400_000;
const yesterday = today - 86_400_000;

const ping = (startedAt: number, seconds: number, more: Partial<PingEvent> = {}): PingEvent => ({
  id: uuidv7(),
  startedAt,
  endedAt: startedAt + seconds * 1000,
  app: 'Editor',
  host: null,
  state: 'active',
  deviceId: 'd',
  source: 'window',
  ...more,
});

beforeAll(async () => {
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
  const noon = yesterday + 43_200_000;
  const keep = (userId: string, pings: PingEvent[], organization = organizationId) =>
    store(clickhouse, pingsTable, { organizationId: organization, userId, receivedAt: Date.now(), pings });
  await keep(uuidv7(), [
    ping(noon, 60, { app: 'Diary', title: 'Secret' }),
    ping(noon + 60_000, 60, { app: 'Browser', title: 'T', url: 'https://example.com/a?b', host: 'example.com' }),
    // Half of it before the hours.
    ping(yesterday + 8 * 3_600_000 - 30_000, 60),
    ping(yesterday, 10),
  ]);
  await keep(uuidv7(), [ping(noon, 30, { app: 'diary' }), ping(today, 60, { app: 'Diary' }), ping(yesterday - 1, 1)]);
  await keep(uuidv7(), [ping(noon, 60, { app: 'Diary' })], uuidv7());
});
afterAll(async () => {
  await clickhouse?.close();
  await database?.drop();
});

const preview = async (given: object, most?: number) => {
  const { privacy } = privacyPreviewBody.parse({ privacy: given });
  const options = most === undefined ? {} : { most };
  const found = await previewPrivacy(clickhouse, { organizationId, timezone: 'UTC' }, privacy, options);
  return privacyPreview.parse(found);
};

test('of yesterday alone, and of this organisation: what goes, what stays with less, and what each rule meets', async () => {
  const days = Object.fromEntries(
    ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'].map((d) => [d, [['08:00', '24:00']]]),
  );
  const found = await preview({
    rules: [
      { id: 'diary', kind: 'drop', apps: ['Diary'] },
      { id: 'all', kind: 'redact-title', apps: ['*'] },
    ],
    urls: 'host',
    trackingHours: { timezone: 'user', days },
  });
  expect(found).toEqual({
    date: new Date(yesterday).toISOString().slice(0, 10),
    timezone: 'UTC',
    pings: 5,
    truncated: false,
    dropped: { pings: 2, seconds: 90 },
    outsideHours: { pings: 2, seconds: 40 },
    titles: 1,
    urls: 1,
    rules: [
      { id: 'diary', kind: 'drop', pings: 2, seconds: 90 },
      { id: 'all', kind: 'redact-title', pings: 5, seconds: 220 },
    ],
  });
});

test('no rules take nothing, and a large day is looked at in part', async () => {
  const nothing = { pings: 0, seconds: 0 };
  expect(await preview({})).toMatchObject({ pings: 5, dropped: nothing, outsideHours: nothing, titles: 0, urls: 0 });
  expect(await preview({}, 5)).toMatchObject({ pings: 5, truncated: false });
  expect(await preview({}, 3)).toMatchObject({ pings: 3, truncated: true });
});
