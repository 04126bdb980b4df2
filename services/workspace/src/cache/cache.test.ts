import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { createTenantCache, type KeyValue, openKeyValue } from '@worktide/key-value';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { createCodec, openSchemaRegistry, topics } from '@worktide/schemas';
import { until } from '@worktide/testing';
import { z } from 'zod';
import { type Person, type Running, startWorkspace, type TestDatabase, workspaceDatabase } from '../testing.ts';
import { followForCache } from './follow.ts';

const log = silentLogger();

describe('GET /projects/active', () => {
  let database: TestDatabase;
  let workspace: Running;
  let keyValue: KeyValue;
  let manager: Person;
  beforeAll(async () => {
    database = await workspaceDatabase();
    keyValue = openKeyValue(await backend('redis'), { log, metrics: createMetrics() });
    workspace = await startWorkspace(database.url, { keyValue });
  });
  afterAll(async () => {
    await workspace?.close();
    await database?.drop();
  });
  beforeEach(() => {
    manager = workspace.person('manager');
  });
  const active = async (as = manager): Promise<string[]> =>
    (await workspace.call(as, 'GET', '/projects/active')).body.items.map(({ name }: { name: string }) => name);
  /** Behind the service's back: nobody invalidates. */
  const slip = (name: string) =>
    database.admin.query('UPDATE workspace.projects SET name = $2 WHERE organization_id = $1', [
      manager.organizationId,
      name,
    ]);
  const isCached = () =>
    until('the answer is kept', async () => {
      const before = await active();
      await slip(`${before[0]} `);
      const after = await active();
      await slip(before[0]!);
      return after[0] === before[0];
    });

  test('answers from the cache, and every change of a project is in the next answer', async () => {
    expect(await active()).toEqual([]);
    const { id } = (await workspace.call(manager, 'POST', '/projects', { name: 'A' })).body;
    expect(await active()).toEqual(['A']);
    await isCached();
    await workspace.call(manager, 'PATCH', `/projects/${id}`, { name: 'B' });
    expect(await active()).toEqual(['B']);
    await workspace.call(manager, 'PATCH', `/projects/${id}`, { status: 'archived' });
    expect(await active()).toEqual([]);
    await workspace.call(manager, 'PATCH', `/projects/${id}`, { status: 'active' });
    expect(await active()).toEqual(['B']);
    await workspace.call(manager, 'DELETE', `/projects/${id}`);
    expect(await active()).toEqual([]);
    await workspace.call(manager, 'POST', `/projects/${id}/restore`);
    expect(await active()).toEqual(['B']);
    expect(await active(workspace.person('manager'))).toEqual([]);
  });

  test('one answer is kept, whatever sizes and cursors somebody thinks of', async () => {
    for (const name of ['A', 'B']) await workspace.call(manager, 'POST', '/projects', { name });
    const lookups = async () =>
      (await workspace.metrics.render()).text.match(/^worktide_cache_lookups_total.*$/gm)?.join('\n');
    const before = await lookups();
    const { nextCursor } = (await workspace.call(manager, 'GET', '/projects/active?limit=1')).body;
    const second = await workspace.call(manager, 'GET', `/projects/active?limit=1&cursor=${nextCursor}`);
    expect(second.body).toMatchObject({ items: [{ name: 'A' }], nextCursor: null });
    expect((await workspace.call(manager, 'GET', '/projects/active?cursor=x')).status).toBe(400);
    expect(await lookups()).toBe(before);
  });

  test('key-value away: answers come from the database, and changes go through', async () => {
    workspace.away.keyValue = true;
    try {
      const { id } = (await workspace.call(manager, 'POST', '/projects', { name: 'A' })).body;
      expect(await active()).toEqual(['A']);
      expect((await workspace.call(manager, 'PATCH', `/projects/${id}`, { name: 'B' })).status).toBe(200);
      expect(await active()).toEqual(['B']);
    } finally {
      workspace.away.keyValue = false;
    }
  });

  test('an invalidation lost between commit and key-value is made up for by the event', async () => {
    const codec = createCodec(openSchemaRegistry('local:'), topics['workspace-events']);
    await codec.prepare();
    const cache = createTenantCache({ name: 'projects', schema: z.unknown(), keyValue, log, metrics: createMetrics() });
    const follower = await followForCache({ eventLog: workspace.eventLog, codec, invalidate: cache.invalidate });
    try {
      await workspace.call(manager, 'POST', '/projects', { name: 'A' });
      const [{ id, version }] = (await workspace.call(manager, 'GET', '/projects')).body.items;
      await until('what was told before has been followed', async () => (await follower.lag()) === 0);
      await isCached();
      await slip('B');
      // As a process tells it that dies before it invalidates; a record that nobody can read is in front of it.
      const event = { type: 'project', id, version: version + 1, deleted: false, name: 'B', status: 'active' };
      const key = manager.organizationId;
      const value = codec.encode({ organizationId: key, actorId: null, events: [event] });
      await workspace.eventLog.producer().send('workspace-events', [
        { key, value: Buffer.from('garbage') },
        { key, value: codec.encode({ organizationId: key }) },
        { key, value },
      ]);
      await until('the change is seen', async () => (await active())[0] === 'B');
      const dead = await workspace.eventLog.admin.read('workspace-events.dead', {
        partition: 0,
        fromOffset: 0,
        limit: 10,
      });
      expect(dead).toHaveLength(2);
    } finally {
      await follower.close();
    }
  });
});
