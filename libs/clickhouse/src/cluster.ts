import { AppError } from '@worktide/runtime';
import type { ClickHouse } from './client.ts';

/**
 * Our tables have plain engines: each replica of a cluster would keep what it was itself given, and a report would be another one at
 * every reload. So a cluster is refused before anything is stored in it. Which cluster a server is of says the macro `cluster`, which the
 * operators of Kubernetes and those who set clusters up by hand define; ClickHouse Cloud's servers share one store, and are one to us.
 * @throws AppError `BAD_CONFIGURATION` where the server is one of several replicas or shards; as `query` does.
 */
export async function refuseCluster(clickhouse: Pick<ClickHouse, 'query'>): Promise<void> {
  const [found] = await clickhouse.query<{ replicas: number; shards: number; shared: number }>(
    `SELECT toUInt32(max(replica_num)) AS replicas, toUInt32(max(shard_num)) AS shards,
       (SELECT count() > 0 FROM system.table_engines WHERE name = 'SharedMergeTree') AS shared
     FROM system.clusters WHERE cluster IN (SELECT substitution FROM system.macros WHERE macro = 'cluster')`,
  );
  const { replicas = 0, shards = 0, shared = 0 } = found ?? {};
  if (shared || (replicas <= 1 && shards <= 1)) return;
  throw new AppError(
    'BAD_CONFIGURATION',
    `This ClickHouse is a cluster of ${replicas} replicas and ${shards} shards; tables are made for one server.`,
  );
}
