import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createMetrics, silentLogger, unavailable, uuidv7 } from '@worktide/runtime';
import {
  allTopics,
  auditRecord,
  createCodec,
  openSchemaRegistry,
  type SchemaRegistry,
  topics,
} from '@worktide/schemas';
import { metricOf, until } from '@worktide/testing';
import { type Audit, auditSource, createAudit, systemSource } from './index.ts';

const log = silentLogger();
const registry = openSchemaRegistry('local:');
let folder: string;
let eventLog: EventLog;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'worktide-audit-'));
  eventLog = openEventLog(`lmdb:${folder}`, { clientId: 'audit-test', log, metrics: createMetrics() });
  await eventLog.admin.ensureTopics(allTopics());
});
afterAll(async () => {
  await eventLog.close();
  await rm(folder, { recursive: true });
});

async function open(options: { registry?: SchemaRegistry; producer?: { send: () => Promise<void> } } = {}) {
  const metrics = createMetrics();
  const audit: Audit = createAudit({
    service: 'test',
    registry,
    producer: eventLog.producer(),
    log,
    metrics,
    ...options,
  });
  await audit.check().catch(() => {});
  const lost = (): Promise<number> => metricOf(metrics, 'worktide_audit_lost_total', { service: 'test' });
  return { audit, lost };
}

async function recorded(organizationId: string): Promise<unknown[]> {
  const codec = createCodec(registry, topics.audit);
  await codec.prepare();
  const found: unknown[] = [];
  for (let partition = 0; partition < topics.audit.partitions; partition++) {
    const records = await eventLog.admin.read('audit', { partition, fromOffset: 0, limit: 1_000 });
    found.push(
      ...records
        .filter(({ key }) => key === organizationId)
        .flatMap(({ value }) => auditRecord.parse(codec.decode(value)).events),
    );
  }
  return found;
}

const request = { headers: { 'user-agent': 'x'.repeat(400) }, ip: '203.0.113.7' } as unknown as IncomingMessage;
const action = {
  action: 'user.suspended',
  entityType: 'user',
  entityId: 'u',
  before: { status: 'active' },
  after: { status: 'suspended', password: 'x' },
};

describe('audit events', () => {
  test('carry who, what, from where, and no secret', async () => {
    const { audit, lost } = await open();
    const organizationId = uuidv7();
    const [userId, sessionId] = [uuidv7(), uuidv7()];
    audit.tell(organizationId, auditSource({ req: request, requestId: 'r-1' }, { userId, sessionId }), [
      action,
      { ...action, action: 'b' },
    ]);
    const events = await until('the record', async () => {
      const found = await recorded(organizationId);
      return found.length > 0 && found;
    });
    expect(events).toEqual([
      {
        id: expect.any(String),
        at: expect.any(Number),
        ...action,
        after: { status: 'suspended', password: '[removed]' },
        actorType: 'user',
        actorId: userId,
        ipAddress: '203.0.113.7',
        userAgent: 'x'.repeat(256),
        requestId: 'r-1',
        sessionId,
        service: 'test',
      },
      expect.objectContaining({ action: 'b' }),
    ]);
    expect(await lost()).toBe(0);
  });

  test("an agent's key is told from its user; nobody is null", () => {
    const context = { req: request, requestId: 'r' };
    const caller = { userId: uuidv7(), agentKeyId: uuidv7() };
    expect(auditSource(context, caller)).toMatchObject({ actorType: 'agent-key', actorId: caller.userId });
    expect(auditSource(context, undefined)).toMatchObject({ actorType: 'user', actorId: null, sessionId: null });
  });

  test('nothing done is no event', async () => {
    const { audit } = await open();
    expect(audit.events(uuidv7(), systemSource, [])).toEqual([]);
  });

  test('never fail the action: no schema registry, no log, an object that is no JSON; each counted', async () => {
    const away = { register: () => Promise.reject(unavailable('schema registry')) } as unknown as SchemaRegistry;
    const unregistered = await open({ registry: away });
    expect(unregistered.audit.events(uuidv7(), systemSource, [action, action])).toEqual([]);
    expect(await unregistered.lost()).toBe(2);
    await expect(unregistered.audit.check()).rejects.toMatchObject({ statusCode: 503 });

    const unlogged = await open({ producer: { send: () => Promise.reject(unavailable('event-log')) } });
    unlogged.audit.tell(uuidv7(), systemSource, [action]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await unlogged.lost()).toBe(1);

    const { audit, lost } = await open();
    const endless: Record<string, unknown> = {};
    endless.self = endless;
    expect(audit.events(uuidv7(), systemSource, [{ ...action, after: endless }])).toHaveLength(1);
    const broken = {
      toString: 1,
      get boom() {
        throw new Error('boom');
      },
    };
    expect(audit.events(uuidv7(), systemSource, [{ ...action, after: broken }])).toEqual([]);
    expect(await lost()).toBe(1);
  });
});
