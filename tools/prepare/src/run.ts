import { openEventLog, replicationFrom } from '@worktide/event-log';
import { AppError, createMetrics, describeError, type Logger, loadConfig } from '@worktide/runtime';
import { checkedEnvironmentOf, type Part, partNames, passwordFrom } from './config.ts';
import { prepareBucket, prepareClickHouse, preparePostgres, prepareTopics } from './engines.ts';

export interface Output {
  out(line: string): void;
  err(line: string): void;
}

const usage = `usage: npm run prepare:engines -- ${partNames.join(' | ')} | all
  Makes what is missing of the roles and tables, the topics and the bucket; what is there stays. Several may be named.
  It asks the environment for an administrator's URL of each: see docs/operating.md.`;

type Environment = Record<string, string | undefined>;

const prepare: Record<Part, (env: Environment, log: Logger) => Promise<void>> = {
  async postgres(env, log) {
    const passwordOf = (service: Parameters<typeof passwordFrom>[1]): string => passwordFrom(env, service)!;
    await preparePostgres({ adminUrl: env.ADMIN_POSTGRES_URL!, passwordOf, log });
  },
  async clickhouse(env, log) {
    await prepareClickHouse(env.ADMIN_CLICKHOUSE_URL!, { log });
  },
  async topics(env, log) {
    const options = { clientId: 'prepare', log, metrics: createMetrics(), replication: replicationFrom(env) };
    const eventLog = openEventLog(env.ADMIN_EVENT_LOG_URL!, options);
    try {
      await prepareTopics(eventLog);
    } finally {
      await eventLog.close();
    }
  },
  bucket: (env, log) => prepareBucket(env.ADMIN_OBJECT_STORE_URL!, { log }),
};

/** @returns the exit status: 0 done, 1 it could not be done, 2 the arguments are wrong, 78 the environment is. */
export async function runPrepare(argv: string[], env: Environment, log: Logger, output: Output): Promise<number> {
  const wanted = argv.includes('all') ? partNames : partNames.filter((part) => argv.includes(part));
  const unknown = argv.find((word) => word !== 'all' && !(partNames as string[]).includes(word));
  if (wanted.length === 0 || unknown !== undefined) {
    output.err(unknown === undefined ? usage : `unknown part ${unknown}\n\n${usage}`);
    return 2;
  }
  try {
    // All that is asked for, so that every problem is told before anything is done.
    loadConfig(checkedEnvironmentOf(wanted), env);
    for (const part of wanted) {
      await prepare[part](env, log);
      output.out(`${part}: prepared`);
    }
    return 0;
  } catch (error) {
    output.err(describeError(error));
    return error instanceof AppError && error.code === 'BAD_CONFIGURATION' ? 78 : 1;
  }
}
