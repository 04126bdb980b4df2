import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Caller, uuidv7 } from '@worktide/runtime';
import { createLeads, type Leads } from './leads.ts';

let server: Server;
let leads: Leads;
let asked: unknown[];
let answer: { status: number; body: unknown };
beforeEach(async () => {
  asked = [];
  answer = { status: 200, body: { teamIds: [], userIds: [] } };
  server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    asked.push([req.url, req.headers.authorization, JSON.parse(body)]);
    res.writeHead(answer.status).end(JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  leads = createLeads({ workspaceUrl: `http://127.0.0.1:${port}/`, internalToken: 'secret' });
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

const caller = (more: Partial<Caller> = {}): Caller => ({
  organizationId: uuidv7(),
  userId: uuidv7(),
  role: 'employee',
  timezone: 'UTC',
  sessionId: uuidv7(),
  ...more,
});

test('asks once for many, and never of an agent’s key', async () => {
  const [team, member] = [uuidv7(), uuidv7()];
  answer.body = { teamIds: [team], userIds: [member] };
  const lead = caller();
  const all = await Promise.all(Array.from({ length: 10 }, () => leads.of(lead)));
  for (const led of all) expect([[...led.teamIds], [...led.userIds]]).toEqual([[team], [member]]);
  const { organizationId, userId } = lead;
  expect(asked).toEqual([['/internal/workspace/led', 'Bearer secret', { organizationId, leadId: userId }]]);
  expect((await leads.of({ ...lead, agentKeyId: uuidv7() })).userIds.size).toBe(0);
  await leads.of(caller());
  expect(asked).toHaveLength(2);
});

test.each([500, 401, 200])('an answer of %s that is none is 503, and asked for again', async (status) => {
  const lead = caller();
  answer = { status, body: { no: 'answer' } };
  await expect(leads.of(lead)).rejects.toMatchObject({ statusCode: 503 });
  answer = { status: 200, body: { teamIds: [], userIds: [] } };
  expect((await leads.of(lead)).userIds.size).toBe(0);
});

test('without a workspace nobody leads anybody', async () => {
  const alone = createLeads({ workspaceUrl: undefined, internalToken: 'secret' });
  expect((await alone.of(caller())).teamIds.size).toBe(0);
});
