import { argon2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { createIdentity } from '@worktide/identity';
import { createMetrics } from '@worktide/runtime';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { openArea } from '../area.ts';
import type { Context } from '../context.ts';

const password = 'correct horse battery';
/** As many at once as auth hashes at once, and some that wait. */
const clients = 8;
const hashesAtOnce = 2;
const accounts = 8;

/** Log-ins beside the bare hash, and checks of access tokens beside the bare signature. */
export async function people(context: Context): Promise<void> {
  await logins(context);
  await verifications(context);
}

async function logins(context: Context): Promise<void> {
  const { options, report, say } = context;
  const area = await openArea(context, 'logins');
  const auth = await area.start('auth');
  const post = async (path: string, body: object): Promise<void> => {
    const response = await fetch(`${auth.url}/api/v1/auth/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} was answered ${response.status}: ${text}`);
  };
  const email = (n: number): string => `person-${n}@example.com`;
  for (let n = 0; n < accounts; n++) {
    await post('register', { email: email(n), password, name: 'Bench', organizationName: 'Bench' });
  }
  const derive = promisify(argon2);
  // The parameters of services/auth/src/passwords, which are what a log-in is made of.
  const bareHash = (): Promise<unknown> =>
    derive('argon2id', {
      message: password,
      nonce: randomBytes(16),
      memory: 19_456,
      passes: 2,
      parallelism: 1,
      tagLength: 32,
    });
  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    floor.push(await rateOf(hashesAtOnce, options.seconds, bareHash));
    ours.push(await rateOf(clients, options.seconds, (client) => post('login', { email: email(client), password })));
    say(`  ${ours.at(-1)!.toFixed(1)} log-ins/s, ${floor.at(-1)!.toFixed(1)} bare hashes/s`);
  }
  report.addPairs(
    { part: 'log-in', what: `log-ins, ${clients} clients; floor: Argon2id alone`, unit: '1/s' },
    ours,
    floor,
  );
  await area.close();
}

/** Calls of `work` a second that `workers` get done side by side. */
async function rateOf(workers: number, seconds: number, work: (worker: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  const end = startedAt + seconds * 1_000;
  let done = 0;
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      while (performance.now() < end) {
        await work(worker);
        done++;
      }
    }),
  );
  return (done / (performance.now() - startedAt)) * 1_000;
}

async function verifications(context: Context): Promise<void> {
  const { options, report, lifecycle, log } = context;
  const area = await openArea(context, 'tokens');
  const auth = await area.start('auth');
  // More than are remembered, in turn: each has been forgotten when it comes again.
  const remembered = 1_000;
  const headers = (await area.tokens(4 * remembered)).map((token) => `Bearer ${token}`);
  const identity = createIdentity({
    authUrl: auth.url,
    internalToken: area.internalToken,
    log,
    metrics: createMetrics(),
    lifecycle,
    maxEntries: remembered,
  });
  const jwks = (await (await fetch(`${auth.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
  const keys = createLocalJWKSet(jwks);
  const tokens = headers.map((header) => header.slice('Bearer '.length));
  const sender = (): string => 'bench';
  const kinds: Record<string, (n: number) => Promise<unknown>> = {
    cached: (n) => identity.authenticate(headers[n % 100], sender),
    'not cached': (n) => identity.authenticate(headers[n % headers.length], sender),
    bare: (n) => jwtVerify(tokens[n % tokens.length]!, keys, { algorithms: ['EdDSA'] }),
  };
  const rates: Record<string, number[]> = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const [kind, work] of Object.entries(kinds)) {
      let n = 0;
      rates[kind]!.push(await rateOf(1, options.seconds, () => work(n++)));
    }
  }
  const part = 'access token';
  report.addPairs(
    { part, what: 'checks, not cached; floor: jose alone', unit: '1/s' },
    rates['not cached']!,
    rates.bare!,
  );
  report.addPairs({ part, what: 'checks, cached; floor: jose alone', unit: '1/s' }, rates.cached!, rates.bare!);
  await area.close();
}
