import path from 'node:path';
import type { Engine } from '@worktide/backends';
import { startCluster } from '@worktide/cluster';
import { type Lifecycle, silentLogger, sleep } from '@worktide/runtime';
import { until } from '@worktide/testing';
import { notReady } from '../support/http.ts';
import { suspended } from '../support/processes.ts';
import { replayAll } from '../support/replay.ts';
import { usageRows } from '../support/rows.ts';
import type { Target, Trouble } from './target.ts';

/** Longer than the session of a consumer's membership (10 s): its partitions go to another one meanwhile. */
const sleepOfZombieMs = 20_000;

/** Every service as a process of its own on real engines. */
export async function clusterTarget(dir: string, lifecycle: Lifecycle, brokers: number): Promise<Target> {
  const cluster = await startCluster(
    { dir: path.join(dir, 'cluster'), port: 0, gateways: 2, writers: 2, analytics: 2, brokers },
    { lifecycle, log: silentLogger() },
  );
  const consumers = [...cluster.services].filter(([name]) => /^(session-writer|analytics)-/.test(name));
  const metricsOf = (service: string): string[] =>
    [...cluster.services].filter(([name]) => name.startsWith(service)).map(([, { internalUrl }]) => internalUrl);

  const killed = (name: string, engine: Engine): Trouble => ({
    name: `kill -9 ${name}`,
    async happen() {
      await engine.kill9();
      await engine.restart();
    },
  });
  const asleep = (name: string, engine: Engine): Trouble => ({
    name: `${name} sleeps past its session and goes on`,
    happen: () => suspended(engine.pid, () => sleep(sleepOfZombieMs)),
  });

  const brokerNames = [...cluster.allEngines.keys()].filter((name) => name.startsWith('kafka'));
  /** Of one among several: leadership moves, and everything goes on. */
  const brokerTroubles = (name: string): Trouble[] => {
    const broker = cluster.allEngines.get(name)!;
    return [
      { name: `${name} is restarted in order`, happen: () => broker.restart() },
      { name: `${name} hangs for 6 s`, happen: () => suspended(broker.pid, () => sleep(6_000)) },
    ];
  };

  return {
    name: 'cluster',
    url: cluster.url,
    kills: [
      ...[...cluster.services].map(([name, service]) => killed(name, service)),
      ...[...cluster.allEngines].map(([name, engine]) => killed(name, engine)),
      ...(brokers > 1 ? brokerNames.flatMap(brokerTroubles) : []),
      ...consumers.map(([name, service]) => asleep(name, service)),
    ],
    outage: (ms) =>
      [...brokerNames, 'postgres', 'clickhouse', 'redis', 'registry'].flatMap((name) => {
        const engine = cluster.allEngines.get(name)!;
        return [
          { name: `${name} hangs for ${ms / 1000} s`, happen: () => suspended(engine.pid, () => sleep(ms)) },
          {
            name: `${name} is gone for ${ms / 1000} s`,
            async happen() {
              await engine.kill9();
              await sleep(ms);
              await engine.restart();
            },
          },
        ];
      }),
    async ready() {
      for (const [name, { baseUrl }] of cluster.services) {
        await until(
          `${name} is ready`,
          async () => {
            const down = await notReady(baseUrl);
            if (down?.length === 0) return true;
            throw new Error(down ? `down: ${down.join(', ')}` : 'no answer');
          },
          { seconds: 120, everyMs: 250 },
        );
      }
    },
    async replay() {
      await Promise.all(consumers.map(([, consumer]) => consumer.stop()));
      const readAgain = await replayAll(cluster.eventLogUrl);
      await Promise.all(consumers.map(([, consumer]) => consumer.restart()));
      await readAgain(metricsOf);
    },
    rows: () => usageRows(cluster.engines.postgres.url),
  };
}
