import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createMetrics, unavailable, uuidv7 } from '@worktide/runtime';
import {
  createCodec,
  type KnownProject,
  type KnownTask,
  openSchemaRegistry,
  topics,
  type WorkspaceEvent,
} from '@worktide/schemas';
import { until } from '@worktide/testing';
import { openWriter, type TestDatabase, type TestWriter, trackingDatabase } from '../testing.ts';
import { followWorkspace } from './follow.ts';
import { type AskWorkspace, createKnownWorkspace, keep } from './known.ts';

let database: TestDatabase;
let writer: TestWriter;
/** What workspace would say. */
let there: { projects: KnownProject[]; tasks: KnownTask[] } = { projects: [], tasks: [] };
let asked: { projectIds: readonly string[]; taskIds: readonly string[] }[] = [];
let away = false;
const organizationId = randomUUID();

beforeAll(async () => {
  database = await trackingDatabase();
  writer = await openWriter(database.url);
});
afterEach(() => {
  [there, asked, away] = [{ projects: [], tasks: [] }, [], false];
});
afterAll(async () => {
  await writer?.close();
  await database?.drop();
});

const ask: AskWorkspace = async (_, projectIds, taskIds) => {
  asked.push({ projectIds, taskIds });
  if (away) throw unavailable('workspace');
  return {
    projects: there.projects.filter(({ id }) => projectIds.includes(id)),
    tasks: there.tasks.filter(({ id }) => taskIds.includes(id)),
  };
};
const known = (more: AskWorkspace | undefined = ask) =>
  createKnownWorkspace({ pool: writer.pool, ask: more, metrics: createMetrics() });
const project = (more: Partial<KnownProject> = {}): KnownProject => ({
  id: uuidv7(),
  version: 1,
  status: 'active',
  deleted: false,
  ...more,
});
const task = (projectId: string, more: Partial<KnownTask> = {}): KnownTask => ({
  id: uuidv7(),
  version: 1,
  projectId,
  deleted: false,
  ...more,
});
const codeOf = (projectId: string | null, taskId: string | null = null): Promise<string> =>
  known()
    .check(organizationId, { projectId, taskId })
    .then(
      () => 'taken',
      (error: { code: string }) => error.code,
    );

describe('whether time may go to a project or task', () => {
  test('is said by what is known, without asking', async () => {
    const [active, archived, gone] = [project(), project({ status: 'archived' }), project({ deleted: true })];
    const [here, removed, ofGone] = [task(active.id), task(active.id, { deleted: true }), task(gone.id)];
    await keep(writer.pool, organizationId, { projects: [active, archived, gone], tasks: [here, removed, ofGone] });
    expect(await codeOf(null)).toBe('taken');
    expect(await codeOf(active.id)).toBe('taken');
    expect(await codeOf(active.id, here.id)).toBe('taken');
    expect(await known().check(organizationId, { projectId: null, taskId: here.id })).toBe(active.id);
    expect(await codeOf(archived.id)).toBe('PROJECT_ARCHIVED');
    await expect(known().check(organizationId, { projectId: archived.id, taskId: null })).rejects.toThrow('archived');
    expect(await codeOf(gone.id)).toBe('PROJECT_UNKNOWN');
    expect(await codeOf(active.id, removed.id)).toBe('TASK_UNKNOWN');
    expect(await codeOf(archived.id, here.id)).toBe('TASK_UNKNOWN');
    expect(await codeOf(null, ofGone.id)).toBe('TASK_UNKNOWN');
    expect(asked).toEqual([]);
  });

  test('what is not known yet is asked for once, with the project of a task, and kept', async () => {
    const [newProject, other] = [project(), project({ status: 'on_hold' })];
    const newTask = task(newProject.id);
    there = { projects: [newProject, other], tasks: [newTask] };
    expect(await codeOf(null, newTask.id)).toBe('taken');
    expect(await codeOf(other.id)).toBe('PROJECT_ARCHIVED');
    const before = asked.length;
    expect(await codeOf(newProject.id, newTask.id)).toBe('taken');
    expect(await codeOf(other.id)).toBe('PROJECT_ARCHIVED');
    expect(asked).toHaveLength(before);
  });

  test('nobody’s, and that of another organisation, is unknown', async () => {
    const elsewhere = project();
    await keep(writer.pool, randomUUID(), { projects: [elsewhere], tasks: [] });
    expect(await codeOf(elsewhere.id)).toBe('PROJECT_UNKNOWN');
    expect(await codeOf(null, randomUUID())).toBe('TASK_UNKNOWN');
  });

  test('is 503 while it must be asked for and workspace is away', async () => {
    away = true;
    expect(await codeOf(randomUUID())).toBe('DEPENDENCY_UNAVAILABLE');
    const active = project();
    await keep(writer.pool, organizationId, { projects: [active], tasks: [] });
    expect(await codeOf(active.id)).toBe('taken');
  });

  test('of many at once is asked together', async () => {
    const projects = Array.from({ length: 1_200 }, () => project());
    there = { projects, tasks: [] };
    const questions = [...projects.map(({ id }) => id), randomUUID()].map((projectId) => ({ projectId, taskId: null }));
    const places = await known().placesOf(organizationId, questions);
    expect(places.flatMap(({ problem }) => problem ?? [])).toEqual(['project_unknown']);
    expect(asked).toHaveLength(3);
  });
});

test('topic workspace-events tells of changes; replayed from its beginning it changes nothing', async () => {
  const codec = createCodec(openSchemaRegistry('local:'), topics['workspace-events']);
  await codec.prepare();
  const producer = writer.eventLog.producer();
  const organization = randomUUID();
  const tell = (...events: WorkspaceEvent[]) =>
    producer.send('workspace-events', [
      { key: organization, value: codec.encode({ organizationId: organization, actorId: null, events }) },
    ]);
  const { id } = project();
  const state = (version: number, status: KnownProject['status']): WorkspaceEvent => ({
    type: 'project',
    id,
    version,
    status,
    deleted: false,
    name: 'P',
  });
  const records = [state(1, 'active'), state(2, 'archived'), state(3, 'active'), state(2, 'archived')];
  await tell(records[0]!, records[1]!);
  await tell(records[2]!);
  await tell(records[3]!);
  await producer.send('workspace-events', [{ key: organization, value: Buffer.from('nothing of ours') }]);
  const rows = async () =>
    (await writer.pool.query('SELECT version, status, xmin FROM tracking.known_projects WHERE id = $1', [id])).rows;
  const follower = await followWorkspace({ eventLog: writer.eventLog, pool: writer.pool, codec });
  const first = await until('version 3', async () => {
    const found = await rows();
    return found[0]?.version === 3 && found;
  });
  await until('all is read', async () => (await follower.lag()) === 0);
  await tell(...records);
  await until('all is read', async () => (await follower.lag()) === 0);
  expect(await rows()).toEqual(first);
  const dead = await writer.eventLog.admin.read('workspace-events.dead', { partition: 0, fromOffset: 0, limit: 10 });
  expect(dead).toHaveLength(1);
  await follower.close();
});
