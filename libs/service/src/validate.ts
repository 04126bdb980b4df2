import { createClickHouse } from '@worktide/clickhouse';
import { openEventLog } from '@worktide/event-log';
import { openKeyValue } from '@worktide/key-value';
import { openObjectStore } from '@worktide/object-store';
import { checkPostgres, createPool } from '@worktide/postgres';
import { createMetrics, describeError, silentLogger } from '@worktide/runtime';
import { openSchemaRegistry } from '@worktide/schemas';

/** An engine that answers later than this is as good as away. */
const reachMs = 10_000;

type Reach = (url: string) => Promise<void>;

/**
 * How each variable that names an engine is tried, with the credentials in it. Nothing is changed there, nor here: an
 * embedded engine, which is a folder, is its process's alone and is not opened.
 */
function reaches(serviceName: string, config: Record<string, unknown>): Record<string, Reach> {
  const log = silentLogger();
  const metrics = createMetrics();
  const postgres: Reach = async (url) => {
    const pool = createPool(url, { applicationName: `${serviceName} --validate`, max: 1, log, metrics });
    try {
      await checkPostgres(pool)();
    } finally {
      await pool.end();
    }
  };
  return {
    POSTGRES_URL: postgres,
    POSTGRES_READ_URL: postgres,
    async CLICKHOUSE_URL(url) {
      const clickhouse = createClickHouse(url, { log });
      try {
        await clickhouse.check();
      } finally {
        await clickhouse.close();
      }
    },
    async EVENT_LOG_URL(url) {
      const eventLog = openEventLog(url, { clientId: `${serviceName}-validate`, log, metrics });
      try {
        await eventLog.check();
      } finally {
        await eventLog.close();
      }
    },
    async KEY_VALUE_URL(url) {
      const keyValue = openKeyValue(url, { log, metrics });
      try {
        await keyValue.get('validate');
      } finally {
        await keyValue.close();
      }
    },
    async OBJECT_STORE_URL(url) {
      const signingSecret = config.OBJECT_SIGNING_SECRET as string | undefined;
      const store = openObjectStore(url, { log, metrics, ...(signingSecret ? { signingSecret } : {}) });
      try {
        await store.check();
      } finally {
        await store.close();
      }
    },
    SCHEMA_REGISTRY_URL: (url) => openSchemaRegistry(url).check(),
    async AUTH_URL(url) {
      const response = await fetch(`${url.replace(/\/+$/, '')}/.well-known/jwks.json`);
      await response.body?.cancel();
      if (!response.ok) throw new Error(`answered ${response.status}`);
    },
  };
}

const isEmbedded = (url: string): boolean => /^(lmdb|file|memory|local):/.test(url);

/**
 * Says for every problem of the configuration, or for every engine that it names, how it is.
 * @param load gives the configuration, or throws what is wrong with it.
 * @returns the exit status: 0 where all is well, 1 where an engine is not reached, 78 for a bad configuration.
 */
export async function validate(
  load: () => Record<string, unknown>,
  { serviceName, say }: { serviceName: string; say: (line: string) => void },
): Promise<number> {
  let config: Record<string, unknown>;
  try {
    config = load();
  } catch (error) {
    say((error as Error).message);
    return 78;
  }
  say('configuration: well');
  const named = Object.entries(reaches(serviceName, config)).filter(([variable]) => config[variable] !== undefined);
  const outcomes = await Promise.all(
    named.map(async ([variable, reach]) => {
      const url = String(config[variable]);
      if (isEmbedded(url)) return { line: `${variable}: embedded`, ok: true };
      try {
        await inTime(reach(url));
        return { line: `${variable}: reached`, ok: true };
      } catch (error) {
        return { line: `${variable}: not reached: ${describeError(error)}`, ok: false };
      }
    }),
  );
  for (const { line } of outcomes) say(line);
  return outcomes.every(({ ok }) => ok) ? 0 : 1;
}

async function inTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${reachMs / 1_000} s`)), reachMs);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
