import { expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { silentLogger } from '@worktide/runtime';
import { createClickHouse } from './client.ts';
import { refuseCluster } from './cluster.ts';

test('a server by itself is taken', async () => {
  const clickhouse = createClickHouse(await backend('clickhouse'), { log: silentLogger() });
  await refuseCluster(clickhouse);
  await clickhouse.close();
});

// What a cluster's server answers; there is none to be asked here.
const answering = (row: object) => ({ query: async <T>() => [row as T] });

test('one of several is refused, but for those that share one store', async () => {
  for (const row of [
    { replicas: 2, shards: 1, shared: 0 },
    { replicas: 1, shards: 2, shared: 0 },
  ]) {
    await expect(refuseCluster(answering(row))).rejects.toMatchObject({ code: 'BAD_CONFIGURATION' });
  }
  await refuseCluster(answering({ replicas: 3, shards: 1, shared: 1 }));
  await refuseCluster(answering({ replicas: 1, shards: 1, shared: 0 }));
  await refuseCluster({ query: async () => [] });
});
