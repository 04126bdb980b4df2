import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type Authority,
  backend,
  type Certificate,
  freePort,
  makeAuthority,
  startKafka,
  startPostgres,
  startRedis,
  startTlsProxy,
} from '@worktide/backends';
import { startSmtp } from '../../../services/auth/src/mail/testing.ts';
import type { Outcome, Target } from './try-engines.ts';

/** Every client that services have, by TLS, with one variable that names whom they trust. */

const password = 'p@ss:/?#[]%&+ "\'$x';
const encoded = encodeURIComponent(password);

let dir: string;
let authority: Authority;
let stranger: Authority;
/** URLs of engines whose certificates are good for `localhost` alone. */
let urls: Record<string, string>;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  // Closed to all others, as keys should be.
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-tls-'));
  authority = await makeAuthority(path.join(dir, 'authority'));
  stranger = await makeAuthority(path.join(dir, 'stranger'));
  const certificate = await authority.issue('engines', ['DNS:localhost']);
  const [kafka, postgres, redis, clickhouse, s3, registry, auth, smtp] = await Promise.all([
    ownKafka(certificate),
    ownPostgres(certificate),
    ownRedis(certificate),
    behindProxy(await backend('clickhouse'), certificate),
    behindProxy(new URL(await backend('s3')).searchParams.get('endpoint')!, certificate),
    behindProxy(await backend('registry'), certificate),
    ownAuth(certificate),
    ownSmtp(certificate),
  ]);
  const s3Url = new URL(await backend('s3'));
  s3Url.searchParams.set('endpoint', s3);
  urls = {
    'event log': kafka,
    'key-value': redis,
    limits: redis,
    postgres,
    clickhouse,
    'object store': s3Url.href,
    'schema registry': registry,
    auth,
    mail: smtp,
  };
});
afterAll(async () => {
  await Promise.all(closers.map((close) => close()));
  await rm(dir, { recursive: true, force: true });
});

async function ownKafka(certificate: Certificate): Promise<string> {
  const [passwordPort, certificatePort] = [await freePort(), await freePort()];
  const engine = await startKafka({
    dir: path.join(dir, 'kafka'),
    security: {
      certificate,
      clientAuthority: authority.cert,
      passwordPort,
      certificatePort,
      users: { worktide: password },
    },
  });
  closers.push(() => engine.kill9());
  return `kafkas://worktide:${encoded}@localhost:${passwordPort}`;
}

async function ownPostgres(certificate: Certificate): Promise<string> {
  const engine = await startPostgres({ dir: path.join(dir, 'postgres'), password, certificate });
  closers.push(() => engine.kill9());
  return `${engine.url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full`;
}

async function ownRedis(certificate: Certificate): Promise<string> {
  const settings = ['--user', 'worktide', 'on', `>${password}`, '~*', '&*', '+@all', '--user', 'default', 'off'];
  const engine = await startRedis({ dir: path.join(dir, 'redis'), certificate, settings });
  closers.push(() => engine.kill9());
  return engine.url.replace('rediss://', `rediss://worktide:${encoded}@`);
}

async function behindProxy(url: string, certificate: Certificate): Promise<string> {
  const { port } = new URL(url);
  const proxy = await startTlsProxy({ port: Number(port) }, certificate);
  closers.push(() => proxy.close());
  const secured = new URL(url.replace(/^http:/, 'https:'));
  secured.hostname = 'localhost';
  secured.port = String(proxy.port);
  return secured.href;
}

async function ownAuth(certificate: Certificate): Promise<string> {
  const server = createServer((_, response) => response.end('{"keys":[]}'));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  closers.push(
    async () => server.closeAllConnections(),
    async () => server.close(),
  );
  return behindProxy(`http://127.0.0.1:${(server.address() as { port: number }).port}`, certificate);
}

async function ownSmtp(certificate: Certificate): Promise<string> {
  const server = await startSmtp();
  closers.push(() => server.close());
  const url = new URL(await behindProxy(`http://127.0.0.1:${server.port}`, certificate));
  return `smtps://${url.host}`;
}

/** What a process says that trusts this authority, and the well-known ones. */
async function inProcessThatTrusts(trusted: Authority, targets: Targets): Promise<Record<string, Outcome>> {
  const program = fileURLToPath(new URL('./try-engines.ts', import.meta.url));
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: trusted.cert };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, JSON.stringify(targets)], { env }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(JSON.parse(stdout));
    });
  });
}

type Targets = Record<string, Target>;

const all = (prefix: string, change: (url: string) => string = (url) => url): Targets =>
  Object.fromEntries(Object.entries(urls).map(([engine, url]) => [prefix + engine, { engine, url: change(url) }]));

const postgresWith = (queries: Record<string, string>): Targets =>
  Object.fromEntries(
    Object.entries(queries).map(([name, query]) => {
      return [name, { engine: 'postgres', url: urls.postgres!.replace(/\?.*/, query) }] as const;
    }),
  );

/** Refused, as something that is away, by its name, with the reason in the error or in the log; and no secret told. */
function expectRefused(outcomes: Record<string, Outcome>, prefix: string, reason: RegExp): void {
  for (const engine of Object.keys(urls)) {
    const { said, statusCode, logged } = outcomes[prefix + engine]!;
    expect({ engine, text: said + logged }).toMatchObject({ engine, text: expect.stringMatching(reason) });
    for (const secret of [encoded, JSON.stringify(password).slice(1, -1)]) expect(said + logged).not.toContain(secret);
    // Limits go on by themselves, mail waits in its queue.
    if (engine === 'limits' || engine === 'mail') continue;
    expect({ engine, statusCode }).toEqual({ engine, statusCode: 503 });
    expect(said).toContain(`(${engine})`);
  }
}

describe('a process that trusts the authority of the engines', () => {
  let outcomes: Record<string, Outcome>;
  beforeAll(async () => {
    const wrong = ['key-value', 'postgres'].map((engine) => {
      return [`wrong ${engine}`, { engine, url: urls[engine]!.replace(encoded, 'secret') }] as const;
    });
    const works = Object.entries(all('')).map(([engine, target]) => [engine, { ...target, works: true }] as const);
    outcomes = await inProcessThatTrusts(authority, {
      ...Object.fromEntries(works),
      ...all('elsewhere ', (url) => url.replaceAll('localhost', '127.0.0.1')),
      ...Object.fromEntries(wrong),
    });
  });

  test('works with every one of them', () => {
    for (const engine of Object.keys(urls)) {
      expect({ engine, ...outcomes[engine] }).toMatchObject({ engine, said: 'ok' });
    }
  });

  test('refuses every one that is called by another name than its certificate has', () => {
    expectRefused(outcomes, 'elsewhere ', /does not match certificate's altnames/);
  });

  test.each([
    ['key-value', /WRONGPASS/],
    ['postgres', /password authentication failed/],
  ])('says so where the password is wrong: %s', (engine, reason) => {
    const { said, logged } = outcomes[`wrong ${engine}`]!;
    expect(said).toContain(`(${engine})`);
    expect(said + logged).toMatch(reason);
  });
});

describe('a process that trusts another authority', () => {
  let outcomes: Record<string, Outcome>;
  beforeAll(async () => {
    const modes = ['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full'];
    outcomes = await inProcessThatTrusts(stranger, {
      ...all(''),
      ...postgresWith(Object.fromEntries(modes.map((mode) => [mode, `?sslmode=${mode}`]))),
      ...postgresWith({ sslrootcert: `?sslmode=verify-full&sslrootcert=${encodeURIComponent(authority.cert)}` }),
      ...postgresWith({ nothing: '' }),
    });
  });

  test('refuses every one of them', () => {
    expectRefused(outcomes, '', /unable to verify the first certificate|self-signed certificate/);
  });

  test.each(['prefer', 'require', 'verify-ca', 'verify-full'])('and Postgres by sslmode=%s', (mode) => {
    expect(outcomes[mode]!.said).toMatch(/\(postgres\).*unable to verify/);
  });

  test.each([
    ['sslrootcert', 'ok'],
    ['no-verify', 'ok'],
    ['disable', 'without TLS'],
    ['nothing', 'without TLS'],
  ])('but takes Postgres by what asks for less, or names its authority: %s', (query, said) => {
    expect(outcomes[query]!.said).toBe(said);
  });
});

test('a service whose file of authorities cannot be read does not start', async () => {
  const main = fileURLToPath(new URL('../../../services/workspace/src/main.ts', import.meta.url));
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: path.join(dir, 'missing.pem') };
  const { code, stdout } = await new Promise<{ code: unknown; stdout: string }>((resolve) => {
    execFile(process.execPath, [main], { env }, (error, out) => resolve({ code: error?.code, stdout: out }));
  });
  expect(code).toBe(78);
  expect(stdout).toMatch(/NODE_EXTRA_CA_CERTS: ENOENT/);
});
