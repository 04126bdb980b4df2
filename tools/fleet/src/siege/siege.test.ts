import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { until } from '@worktide/testing';
import type { Account } from '../accounts.ts';
import { sumOf } from '../progress.ts';
import { attackersNeeded, attacks } from './attacks.ts';
import { startSiege } from './siege.ts';

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function serve(
  status: number,
  body: string,
): Promise<{ origin: string; open(): Promise<number>; answered(): number }> {
  let answered = 0;
  server = createServer((req, res) => {
    // Read to the end, so that bodies which never end are not answered.
    req.resume().on('end', () => {
      answered++;
      res.writeHead(status).end(body);
    });
    req.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answered: () => answered,
    open: () => new Promise((resolve, reject) => server.getConnections((e, n) => (e ? reject(e) : resolve(n)))),
  };
}

const account = (n: number): Account => ({
  userId: `user ${n}`,
  organizationId: `organization ${n}`,
  timezone: 'UTC',
  devices: [{ deviceId: 'device', agentKey: 'waka_key' }],
  minimumBlurLevel: 0,
  bearer: 'token',
});
const attackers = Array.from({ length: attackersNeeded }, (_, n) => account(n));
const originsOf = (origin: string) => ({
  auth: origin,
  ingest: [origin],
  usage: origin,
  reports: origin,
  screenshots: origin,
  realtime: origin,
  protocols: origin,
});

test('attackers are bounded, their answers are judged, bystanders are timed, and the end leaves no connection', async () => {
  const { origin, open } = await serve(500, '{"code":"INTERNAL"}');
  const complaints: string[] = [];
  let acts = 0;
  const siege = startSiege({
    origins: originsOf(origin),
    attackers,
    bystanders: [{ name: 'somebody', everyMs: 1, act: async () => void acts++ }],
    complain: (what) => complaints.push(what),
  });
  await sleep(20);
  expect(complaints).toEqual([]);
  siege.begin();
  await until('all but three complain', () => new Set(complaints).size >= attacks.length - 3);
  expect(await open()).toBeLessThanOrEqual(attacks.reduce((sum, { parallel }) => sum + parallel, 0));
  const { outcomes, bystanders } = await siege.end();
  for (const { name } of attacks) {
    const answered = sumOf(outcomes.get(name)!);
    // Whose bodies never end have no answer from this server.
    if (/stall|trickle/.test(name)) expect(answered).toBe(0);
    else expect([...outcomes.get(name)!.keys()]).toEqual(['500 INTERNAL']);
  }
  expect(complaints).toContain('reports of a year: 500 INTERNAL');
  expect(acts).toBeGreaterThan(1);
  expect(bystanders.get('somebody')!.calm.quantile(1)).toBeGreaterThan(0);
  expect(bystanders.get('somebody')!.besieged.quantile(1)).toBeGreaterThan(0);
  await until('no connection is open', async () => (await open()) === 0);
});

test('a refusal for now is no complaint', async () => {
  const { origin, answered } = await serve(503, '{"code":"QUEUE_FULL"}');
  const complaints: string[] = [];
  const siege = startSiege({
    origins: originsOf(origin),
    attackers,
    bystanders: [{ name: 'somebody', everyMs: 1_000, act: () => Promise.reject(new Error('turned away')) }],
    complain: (what) => complaints.push(what),
  });
  siege.begin();
  await until('50 answers', () => answered() >= 50);
  const { outcomes } = await siege.end();
  expect(sumOf(outcomes.get('keys that nobody has')!)).toBeGreaterThan(0);
  expect([...new Set(complaints)]).toEqual(['somebody, by somebody else: turned away']);
});
