import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../accounts.ts';
import { type HttpClient, isTemporary, type Outgoing, sendUntilAnswered } from '../client.ts';
import type { Origins } from '../options.ts';
import type { Bystander } from './siege.ts';

/** As long as anybody would wait for a page. */
const patienceMs = 60_000;

/** How soon a list is looked at again. */
const lookAgainMs = 20;

/**
 * What the others do all along: read, log in, set up a new agent, and look for what they did last. A refusal for now is
 * asked again, and waited for.
 * @param stranger whose pings are in no ledger.
 */
export function bystandersOf(
  account: Account,
  stranger: Account,
  { client, origins }: { client: HttpClient; origins: Origins },
): Bystander[] {
  async function ask(origin: string, outgoing: Outgoing, status: number): Promise<string> {
    const answer = await sendUntilAnswered(client, origin, outgoing, { deadline: Date.now() + patienceMs });
    if (answer.status !== status || isTemporary(answer.status)) {
      throw new Error(`${outgoing.method} ${outgoing.path.split('?')[0]} was answered ${answer.status}`);
    }
    return answer.text;
  }
  const as = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const day = new Date().toISOString().slice(0, 10);
  const json = { 'content-type': 'application/json' };

  const bystanders: Bystander[] = [
    {
      name: 'a report',
      everyMs: 200,
      act: async () => {
        const path = `/api/v1/reports/daily?from=${day}&to=${day}`;
        await ask(origins.reports, { method: 'GET', path, headers: as(account.bearer) }, 200);
      },
    },
    {
      name: 'a page of usage',
      everyMs: 200,
      act: async () => {
        const path = `/api/v1/usage?from=${day}T00:00:00Z&to=${day}T23:59:59Z&limit=100`;
        await ask(origins.usage, { method: 'GET', path, headers: as(account.bearer) }, 200);
      },
    },
    {
      name: 'the first ping of a new agent',
      everyMs: 1_000,
      act: async () => {
        const body = JSON.stringify({ name: 'bystander', deviceId: 'bystander' });
        const headers = { ...as(account.bearer), ...json };
        const path = '/api/v1/auth/agent-keys';
        const made = JSON.parse(await ask(origins.auth, { method: 'POST', path, headers, body }, 201));
        // Older than is taken: what matters is that the key is known, and nothing is to be added to the ledger.
        const at = new Date(Date.now() - 400 * 86_400_000).toISOString();
        const ping = JSON.stringify({ id: randomUUID(), startedAt: at, endedAt: at, app: 'x' });
        const post = {
          method: 'POST' as const,
          path: '/api/v1/pings',
          headers: { ...as(made.key), ...json },
          body: ping,
        };
        await ask(origins.ingest[0]!, post, 400);
      },
    },
  ];
  const device = stranger.devices[0];
  if (device) {
    bystanders.push({
      name: 'a ping, until the list has it',
      everyMs: 500,
      act: async () => {
        const app = randomUUID();
        const at = new Date().toISOString();
        const body = JSON.stringify({ id: app, startedAt: at, endedAt: at, app });
        const headers = { ...as(device.agentKey), ...json };
        await ask(origins.ingest[0]!, { method: 'POST', path: '/api/v1/pings', headers, body }, 202);
        const end = new Date(Date.parse(at) + 1_000).toISOString();
        const list = {
          method: 'GET' as const,
          path: `/api/v1/usage?from=${at}&to=${end}`,
          headers: as(stranger.bearer),
        };
        for (const deadline = Date.now() + patienceMs; !(await ask(origins.usage, list, 200)).includes(app); ) {
          if (Date.now() > deadline) throw new Error(`a ping is not in the list after ${patienceMs / 1_000} s`);
          await sleep(lookAgainMs);
        }
      },
    });
  }
  if (account.login) {
    const body = JSON.stringify(account.login);
    const login: Outgoing = { method: 'POST', path: '/api/v1/auth/login', headers: json, body };
    // Five a minute are what one account may.
    bystanders.push({ name: 'a log-in', everyMs: 13_000, act: async () => void (await ask(origins.auth, login, 200)) });
  }
  return bystanders;
}
