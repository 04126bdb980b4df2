import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClickHouse } from '@worktide/clickhouse';
import { openEventLog } from '@worktide/event-log';
import { openKeyValue, openLimits } from '@worktide/key-value';
import { openObjectStore } from '@worktide/object-store';
import { createPool, prepareServiceDatabase } from '@worktide/postgres';
import { createLogger, createMetrics, describeError, type Logger, sleep, uuidv7 } from '@worktide/runtime';
import { openSchemaRegistry } from '@worktide/schemas';
import { createAuthClient } from '../../../libs/identity/src/auth-client.ts';
import { openMailTransport } from '../../../services/auth/src/mail/transport.ts';

/**
 * A program: uses each engine by its URL once, as services do, with whatever authorities its environment names.
 * Argument: `{"<what>": <Target>}`. Writes `{"<what>": <Outcome>}`.
 */
export interface Target {
  /** One of those below. */
  engine: string;
  url: string;
  /** It is expected to. */
  works?: boolean;
}

export interface Outcome {
  /** `ok`, or the error with its causes. */
  said: string;
  /** Of the error, if it is one. */
  statusCode?: number | undefined;
  logged: string;
}

const metrics = createMetrics();

const engines: Record<string, (url: string, log: Logger) => Promise<unknown>> = {
  async 'event log'(url, log) {
    const opened = openEventLog(url, { clientId: 'tls', log, metrics });
    await opened.admin.topicNames().finally(() => opened.close());
  },
  async 'key-value'(url, log) {
    const opened = openKeyValue(url, { log, metrics, timeoutMs: 5_000 });
    const key = uuidv7();
    await opened
      .set(key, 'x', 10_000)
      .then(() => opened.get(key))
      .finally(() => opened.close());
  },
  /** They never fail; so whether two count together says whether they reach Redis. */
  async limits(url, log) {
    const pair = [0, 1].map(() => openLimits(url, { log, metrics: createMetrics(), patienceMs: 5_000 }));
    const [one, two] = pair.map((limits) => limits.window({ name: 'tls', points: 100, seconds: 60 }));
    const subject = uuidv7();
    await one!.take(subject);
    const { remaining } = await two!.take(subject);
    await Promise.all(pair.map((limits) => limits.close()));
    if (remaining !== 98) throw new Error('limits are local');
  },
  /** Migrations as the administrator, then a pool as the service's role, by the URL that came of it. */
  async postgres(adminUrl, log) {
    const folder = await mkdtemp(path.join(tmpdir(), 'worktide-tls-'));
    const database = { schema: 'tls', role: 'tls', folder, outbox: true };
    const url = await prepareServiceDatabase({ adminUrl, database, password: 'p@ss:/?#[]%', log }).finally(() =>
      rm(folder, { recursive: true }),
    );
    const pool = createPool(url, { applicationName: 'tls', log });
    try {
      const { rows } = await pool.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
      if (!rows[0].ssl) throw new Error('without TLS');
    } finally {
      await pool.end();
    }
  },
  async clickhouse(url, log) {
    const clickhouse = createClickHouse(url, { log });
    await clickhouse.query('SELECT 1').finally(() => clickhouse.close());
  },
  async 'object store'(url, log) {
    const store = openObjectStore(url, { log, metrics });
    const key = uuidv7();
    await store
      .put(key, Buffer.from('x'), { contentType: 'text/plain' })
      .then(() => store.delete(key))
      .finally(() => store.close());
  },
  'schema registry': async (url) =>
    openSchemaRegistry(url).register(uuidv7(), { type: 'object', properties: { a: { type: 'string' } } }),
  auth: async (url) => createAuthClient({ authUrl: url, internalToken: 'secret' }).jwks(),
  mail: async (url) => openMailTransport(url, 'a@b.example').send({ to: 'c@d.example', subject: 'x', text: 'x' }),
};

async function tryOne({ engine, url }: Target): Promise<Outcome> {
  let logged = '';
  const destination = {
    write(line: string) {
      logged += line;
    },
  };
  const log = createLogger({ service: 'tls', destination });
  const late = sleep(15_000).then(() => {
    throw new Error('no answer within 15 s');
  });
  try {
    await Promise.race([engines[engine]!(url, log), late]);
    return { said: 'ok', logged };
  } catch (error) {
    return { said: describeError(error), statusCode: (error as { statusCode?: number }).statusCode, logged };
  }
}

/** What is to work may be slow to answer, on a busy machine: readiness and limits have little patience. */
async function tryUntilOk(target: Target): Promise<Outcome> {
  for (const until = Date.now() + 20_000; ; ) {
    const outcome = await tryOne(target);
    if (outcome.said === 'ok' || Date.now() > until) return outcome;
  }
}

const targets = JSON.parse(process.argv[2]!) as Record<string, Target>;
const outcomes = await Promise.all(
  Object.entries(targets).map(async ([name, target]) => {
    return [name, await (target.works ? tryUntilOk(target) : tryOne(target))] as const;
  }),
);
process.stdout.write(JSON.stringify(Object.fromEntries(outcomes)), () => process.exit(0));
