import path from 'node:path';
import type { Engine } from './engine.ts';
import { startClickHouse } from './engines/clickhouse.ts';
import { prepareKafka, startKafka } from './engines/kafka.ts';
import { startPostgres } from './engines/postgres.ts';
import { prepareRedis, startRedis } from './engines/redis.ts';
import { prepareRegistry, startRegistry } from './engines/registry.ts';
import { prepareS3, startS3 } from './engines/s3.ts';
import type { BackendName } from './names.ts';

const starters: Record<BackendName, (options: { dir: string }) => Promise<Engine>> = {
  kafka: startKafka,
  postgres: startPostgres,
  clickhouse: startClickHouse,
  redis: startRedis,
  registry: startRegistry,
  s3: startS3,
};

/** Everything that has to be downloaded before an engine can start. PostgreSQL and ClickHouse came with `npm ci`. */
export const preparations: Partial<Record<BackendName, () => Promise<unknown>>> = {
  kafka: prepareKafka,
  redis: prepareRedis,
  registry: prepareRegistry,
  s3: prepareS3,
};

/**
 * Starts an engine as a child process with a new data folder inside `root`. Tried up to three times: the port that was
 * free when chosen may be taken when the engine binds it.
 */
export async function startNative(name: BackendName, root: string): Promise<Engine> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await starters[name]({ dir: path.join(root, `${name}-${attempt}`) });
    } catch (error) {
      const portTaken = /address already in use|Failed to bind|EADDRINUSE|Port \d+ seems to be in use/i.test(
        String(error),
      );
      if (!portTaken || attempt === 3) throw error;
    }
  }
}
