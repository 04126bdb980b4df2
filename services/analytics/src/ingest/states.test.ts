import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freshClickHouseDatabase } from '@worktide/backends';
import { type ClickHouse, createClickHouse, migrateClickHouse } from '@worktide/clickhouse';
import { createMetrics, silentLogger, uuidv7 } from '@worktide/runtime';
import {
  createCodec,
  openSchemaRegistry,
  type PeopleRecord,
  type ScreenshotReadyRecord,
  topics,
  type WorkspaceRecord,
} from '@worktide/schemas';
import { migrationsFolder } from '../index.ts';
import { startConsumers } from './consumers.ts';
import { addPeople, type Rows, storeStates } from './states.ts';
import { caughtUp, deadLetters, openTestLog, send } from './testing.ts';

const log = silentLogger();
const registry = openSchemaRegistry('local:');
const workspaceCodec = createCodec(registry, topics['workspace-events']);
const screenshotsCodec = createCodec(registry, topics['screenshots-ready']);
let database: Awaited<ReturnType<typeof freshClickHouseDatabase>>;
let clickhouse: ClickHouse;
let testLog: Awaited<ReturnType<typeof openTestLog>>;
let close: () => Promise<unknown>;

beforeAll(async () => {
  await workspaceCodec.prepare();
  await screenshotsCodec.prepare();
  database = await freshClickHouseDatabase();
  await migrateClickHouse(database.url, migrationsFolder, { log });
  clickhouse = createClickHouse(database.url, { log });
});
afterAll(async () => {
  await database.drop();
  await clickhouse.close();
});
beforeEach(async () => {
  testLog = await openTestLog();
  const metrics = createMetrics();
  const consumers = await startConsumers({ eventLog: testLog.eventLog, registry, clickhouse, metrics });
  close = () => Promise.all(Object.values(consumers).map((consumer) => consumer.close()));
});
afterEach(async () => {
  await close();
  await testLog.close();
});

const rowsOf = (table: string, organizationId: string) =>
  clickhouse.query<Record<string, unknown>>(
    `SELECT * EXCEPT (organization_id) FROM ${table} FINAL WHERE organization_id = {organizationId:UUID} ORDER BY version`,
    { params: { organizationId }, settings: { output_format_json_quote_64bit_integers: 0 } },
  );

test('projects, teams and tasks: the newest state of each, whatever comes first and however often', async () => {
  const organizationId = uuidv7();
  const [project, team, task, person] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()];
  const record = (...events: WorkspaceRecord['events']): Buffer =>
    workspaceCodec.encode({ organizationId, actorId: null, events } satisfies WorkspaceRecord);
  const projectAt = (version: number, name: string, deleted = false) =>
    ({ type: 'project', id: project, version, deleted, name, status: 'active' }) as const;
  const all = [
    record(projectAt(3, 'Third', true), {
      type: 'team',
      id: team,
      version: 1,
      deleted: false,
      projectId: project,
      name: 'Night',
      memberIds: [person],
    }),
    record(projectAt(2, 'Second')),
    record({
      type: 'task',
      id: task,
      version: 4,
      deleted: false,
      projectId: project,
      title: 'Dig\u0000 "deeper"',
      status: 'done',
      priority: 'high',
      assigneeId: null,
      creatorId: person,
      dueDate: '2026-11-30',
      completedAt: Date.parse('2026-11-20T10:00:00.123Z'),
    }),
  ];
  await send(testLog.eventLog, 'workspace-events', ...all, ...all.toReversed(), Buffer.from('nonsense'));
  await caughtUp(testLog.eventLog, 'workspace-events');
  expect(await rowsOf('projects', organizationId)).toEqual([
    { id: project, name: 'Third', status: 'active', version: 3, deleted: 1 },
  ]);
  expect(await rowsOf('teams', organizationId)).toEqual([
    { id: team, project_id: project, name: 'Night', member_ids: [person], lead_ids: [], version: 1, deleted: 0 },
  ]);
  expect(await rowsOf('tasks', organizationId)).toEqual([
    expect.objectContaining({
      title: 'Dig\u0000 "deeper"',
      assignee_id: null,
      due_date: '2026-11-30',
      completed_at: '2026-11-20 10:00:00.123',
      version: 4,
    }),
  ]);
  expect(await deadLetters(testLog.eventLog, 'workspace-events')).toHaveLength(1);
});

test('screenshots: the newest state, also of a deleted one', async () => {
  const organizationId = uuidv7();
  const state = (version: number, more: Partial<ScreenshotReadyRecord> = {}): ScreenshotReadyRecord => ({
    organizationId,
    userId: uuidv7(),
    screenshotId: uuidv7(),
    status: 'ready',
    capturedAt: Date.parse('2026-11-20T10:00:00Z'),
    timeEntryId: null,
    blurLevel: 2,
    width: 1920,
    height: 1080,
    failureCode: null,
    version,
    deleted: false,
    ...more,
  });
  const one = state(2);
  const other = state(1, {
    status: 'failed',
    failureCode: 'NOT_A_PICTURE',
    width: null,
    height: null,
    blurLevel: null,
  });
  const values = [
    one,
    { ...one, version: 1, status: 'pending' as const },
    other,
    { ...other, version: 5, deleted: true },
  ];
  await send(testLog.eventLog, 'screenshots-ready', ...values.map((value) => screenshotsCodec.encode(value)));
  await caughtUp(testLog.eventLog, 'screenshots-ready');
  expect(await rowsOf('screenshots', organizationId)).toEqual([
    expect.objectContaining({
      id: one.screenshotId,
      status: 'ready',
      width: 1920,
      blur_level: 2,
      version: 2,
      deleted: 0,
    }),
    expect.objectContaining({ id: other.screenshotId, failure_code: 'NOT_A_PICTURE', width: null, deleted: 1 }),
  ]);
});

test('people and organisations', async () => {
  const organizationId = uuidv7();
  const person = uuidv7();
  const record: PeopleRecord = {
    organizationId,
    events: [
      {
        type: 'person',
        id: person,
        name: 'Zoë "Z" O’Neil',
        role: 'manager',
        status: 'suspended',
        timezone: 'Asia/Kathmandu',
        version: 7,
        deleted: true,
      },
      {
        type: 'organization',
        id: organizationId,
        name: 'Company',
        timezone: 'UTC',
        subscriptionStatus: 'pro',
        version: 3,
        deleted: false,
      },
    ],
  };
  const rows: Rows = new Map();
  addPeople(rows, record);
  await storeStates(clickhouse, rows);
  expect(await rowsOf('people', organizationId)).toEqual([
    {
      id: person,
      name: 'Zoë "Z" O’Neil',
      role: 'manager',
      status: 'suspended',
      timezone: 'Asia/Kathmandu',
      version: 7,
      deleted: 1,
    },
  ]);
  const [organization] = await clickhouse.query<object>(
    'SELECT name, subscription_status FROM organizations FINAL WHERE organization_id = {organizationId:UUID}',
    { params: { organizationId } },
  );
  expect(organization).toEqual({ name: 'Company', subscription_status: 'pro' });
});
