import { randomUUID } from 'node:crypto';
import type { Account } from '../accounts.ts';
import { type HttpClient, isTemporary, type Outgoing, sendUntilAnswered } from '../client.ts';
import type { Origins } from '../options.ts';
import type { Bystander } from './siege.ts';

/** As long as anybody would wait for a page. */
const patienceMs = 60_000;

/** What the others do all along: read, log in, and set up a new agent. A refusal for now is asked again, and waited for. */
export function bystandersOf(
  account: Account,
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
  if (account.login) {
    const body = JSON.stringify(account.login);
    const login: Outgoing = { method: 'POST', path: '/api/v1/auth/login', headers: json, body };
    // Five a minute are what one account may.
    bystanders.push({ name: 'a log-in', everyMs: 13_000, act: async () => void (await ask(origins.auth, login, 200)) });
  }
  return bystanders;
}
