import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Engine, startPostgres } from '@worktide/backends';
import { until } from '@worktide/testing';
import { authDatabase, type Running, signUp, startAuth, type TestDatabase } from '../testing.ts';

let dir: string;
let server: Engine;
let database: TestDatabase;
/** What hangs at the moment. */
let suspended: number[] = [];

beforeAll(async () => {
  // A server of its own: it is suspended.
  dir = await mkdtemp(join(tmpdir(), 'worktide-authenticate-'));
  await chmod(dir, 0o711);
  server = await startPostgres({ dir });
  database = await authDatabase(server.url);
});
afterEach(goOn);
afterAll(async () => {
  await database.drop();
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

/** Connections stay open, new ones come about, and nothing answers. */
async function hang(): Promise<void> {
  const { rows } = await database.admin.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'auth'",
  );
  // Each has a process group of its own.
  suspended = [server.pid, ...rows.map(({ pid }) => pid)];
  for (const pid of suspended) process.kill(pid, 'SIGSTOP');
}

function goOn(): void {
  for (const pid of suspended) process.kill(pid, 'SIGCONT');
  suspended = [];
}

const me = (auth: Running, token: string) => auth.call('GET', '/api/v1/auth/me', { token });

async function waiting(auth: Running): Promise<string | undefined> {
  return /^worktide_turns_waiting\{turns="postgres auth"\} (\d+)$/m.exec((await auth.metrics.render()).text)?.[1];
}

test('while Postgres hangs a credential is 503 TIMEOUT within the deadline, and nobody stays in the line', async () => {
  const patient = await startAuth(database.url);
  const { accessToken } = await signUp(patient);
  const { body } = await patient.call('POST', '/api/v1/auth/agent-keys', { token: accessToken, body: { name: 'k' } });
  await patient.close();
  const auth = await startAuth(database.url, {}, { handlerTimeoutMs: 500 });
  const works = async () => (await me(auth, accessToken)).status === 200;
  await until('signing keys and a connection are there', works);
  await hang();
  // More than an organisation, and an address, may have at once.
  const credentials = [accessToken, body.key].flatMap((credential) => Array.from({ length: 8 }, () => credential));
  for (const answer of await Promise.all(credentials.map((credential) => me(auth, credential)))) {
    expect(answer).toMatchObject({ status: 503, body: { code: 'TIMEOUT' } });
    expect(answer.headers.get('retry-after')).toBe('5');
  }
  expect(await waiting(auth)).toBe('0');
  goOn();
  await until('it works again', works);
  await auth.close();
});
