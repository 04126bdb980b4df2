import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { type Engine, freePort, isRunning, startEngine } from '@worktide/backends';
import { type Cluster, type ClusterService, startCluster } from '@worktide/cluster';
import { createLifecycle, type Lifecycle, silentLogger } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { notReady } from './http.ts';
import { repository, temporaryFolder } from './product.ts';

/** Every service as a process of its own on real engines, and what a test does with them. */
export interface TestCluster extends Cluster {
  service(name: string): ClusterService;
  replicas(service: string): ClusterService[];
  originsOf(service: string): string[];
  /** Where their metrics are. */
  metricsOf(service: string): string[];
  /**
   * Waits until exactly these services say that they are not ready, each naming at least this dependency, and all
   * others that they are: `{ auth: 'postgres' }`.
   */
  untilNotReady(expected: Record<string, string>): Promise<void>;
  /** One more gateway, of other settings; nobody is routed to it. */
  startGateway(env: Record<string, string>): Promise<Engine & { internalUrl: string }>;
  /** Starts again what has ended, so that one failed test is not why the next one fails. */
  revive(): Promise<void>;
  lifecycle: Lifecycle;
  close(): Promise<void>;
}

export async function startTestCluster(): Promise<TestCluster> {
  const folder = await temporaryFolder();
  const lifecycle = createLifecycle({ log: silentLogger(), deadlineMs: 60_000 });
  lifecycle.onClose('data', () => folder.remove());
  const internalToken = randomBytes(24).toString('hex');
  const replicasOfEach = { gateways: 2, writers: 2, analytics: 1, realtimes: 1 };
  // What the fleet knows of alerts is to be seen before its patience ends.
  const env = { INTERNAL_TOKEN: internalToken, ALERTS_EVERY_SECONDS: '1' };
  let cluster: Cluster;
  try {
    cluster = await startCluster(
      { dir: path.join(folder.dir, 'cluster'), port: 0, ...replicasOfEach, env },
      { lifecycle, log: silentLogger() },
    );
  } catch (error) {
    await lifecycle.close();
    throw error;
  }
  const { services, engines } = cluster;
  const replicas = (name: string) => [...services].filter(([each]) => each.startsWith(name)).map(([, s]) => s);
  const service = (name: string) => {
    const found = services.get(name);
    if (!found) throw new Error(`no service ${name}: ${[...services.keys()].join(', ')}`);
    return found;
  };

  return {
    ...cluster,
    service,
    replicas,
    metricsOf: (name) => replicas(name).map(({ internalUrl }) => internalUrl),
    originsOf: (name) => replicas(name).map(({ baseUrl }) => baseUrl),
    async untilNotReady(expected) {
      const isAsExpected = async (): Promise<boolean> => {
        const states = await Promise.all(
          [...services].map(async ([name, { baseUrl }]) => [name, await notReady(baseUrl)] as const),
        );
        const right = states.every(([name, down]) => {
          const wanted = expected[name.replace(/-\d+$/, '')];
          return wanted === undefined ? down?.length === 0 : down?.includes(wanted);
        });
        if (right) return true;
        throw new Error(JSON.stringify(Object.fromEntries(states)));
      };
      await until(`not ready: ${JSON.stringify(expected)}`, isAsExpected, { seconds: 60, everyMs: 250 });
    },
    async startGateway(env) {
      const url = `http://127.0.0.1:${await freePort()}`;
      const metricsPort = await freePort();
      const gateway = await startEngine({
        name: 'gateway',
        url,
        command: process.execPath,
        args: [path.join(repository, 'services/ingest-gateway/src/main.ts')],
        env: {
          NODE_ENV: 'production',
          HOST: '127.0.0.1',
          PORT: new URL(url).port,
          METRICS_PORT: String(metricsPort),
          EVENT_LOG_URL: cluster.eventLogUrl,
          SCHEMA_REGISTRY_URL: cluster.registryUrl,
          KEY_VALUE_URL: engines.redis.url,
          OBJECT_STORE_URL: engines.s3.url,
          AUTH_URL: service('auth').internalUrl,
          INTERNAL_TOKEN: internalToken,
          ...env,
        },
        dir: path.join(folder.dir, 'gateway'),
        ready: async () => (await notReady(url))?.length === 0,
      });
      lifecycle.onClose('gateway', () => gateway.stop());
      return Object.assign(gateway, { internalUrl: `http://127.0.0.1:${metricsPort}` });
    },
    async revive() {
      for (const each of [...cluster.allEngines.values(), ...services.values()]) {
        if (!isRunning(each.pid)) await each.restart();
      }
    },
    lifecycle,
    close: async () => void (await lifecycle.close()),
  };
}
