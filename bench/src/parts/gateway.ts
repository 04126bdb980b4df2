import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startEngine } from '@worktide/backends';

import { type Area, floorTopic, openArea } from '../area.ts';
import type { Context } from '../context.ts';
import type { LoadGenerator } from '../load/generator.ts';
import { startLoadGenerator } from '../load/generator.ts';
import type { LoadJob, LoadResult } from '../load/protocol.ts';
import { peakMemoryMiB, startMeter } from '../meter.ts';
import { median } from '../statistics.ts';
import { yesterday } from '../workload.ts';

const users = 2_000;
const throughputConnections = 200;
const latencyConnections = 50;
const warmUpMs = 4_000;

interface Server {
  name: 'gateway' | 'floor';
  pid: number;
  port: number;
}

interface Run extends LoadResult {
  cpu: Record<string, number>;
}

/** Accepted pings a second and time to answer, beside node:http with JSON.parse and kafkajs. */
export async function gateway(context: Context): Promise<void> {
  const { report, options, say, lifecycle } = context;
  const area = await openArea(context, 'gateway');
  const floor = await startFloor(context, area);
  const service = await area.start('ingest-gateway');
  const ours: Server = { name: 'gateway', pid: service.pid, port: service.port };
  const load = startLoadGenerator(lifecycle);
  const tokens = await area.tokens(users);
  const base = { tokens, users, day: yesterday(), pings: 'repeat' as const };

  const measure = async (server: Server, given: { connections: number; pingsPerRequest: number }): Promise<Run> => {
    const job = { ...base, ...given, port: server.port, warmUpMs: 1_000, measureMs: options.seconds * 1_000 };
    const run = await measured(load, job, {
      [server.name]: server.pid,
      kafka: context.engines.kafka.pid,
      'the load': load.pid,
    });
    const rate = Math.round(run.accepted / run.seconds).toLocaleString('en');
    say(
      `  ${server.name.padEnd(7)} ${given.connections} connections × ${given.pingsPerRequest}: ${rate} pings/s, p50 ${run.p50} ms, p99 ${run.p99} ms`,
    );
    return run;
  };

  // Compiled code, and every credential seen once: what a server is like that has run for a while.
  for (const { port } of [floor, ours]) {
    await load.run({
      ...base,
      port,
      connections: latencyConnections,
      pingsPerRequest: 25,
      warmUpMs: 0,
      measureMs: warmUpMs,
    });
  }
  for (const { connections, pingsPerRequest, rate } of [
    { connections: throughputConnections, pingsPerRequest: 25, rate: '≥ 150,000 and ratio ≥ 0.7' },
    { connections: throughputConnections, pingsPerRequest: 1, rate: '≥ 30,000 and ratio ≥ 0.7' },
    { connections: latencyConnections, pingsPerRequest: 25, rate: undefined },
    { connections: latencyConnections, pingsPerRequest: 1, rate: undefined },
  ]) {
    const floors: Run[] = [];
    const runs: Run[] = [];
    for (let round = 0; round < options.rounds; round++) {
      floors.push(await measure(floor, { connections, pingsPerRequest }));
      runs.push(await measure(ours, { connections, pingsPerRequest }));
    }
    const part = `gateway, ${pingsPerRequest} a request, ${connections} connections`;
    const of = (key: (run: Run) => number) => [runs.map(key), floors.map(key)] as const;
    report.addPairs(
      { part, what: 'accepted', unit: 'pings/s', ...(rate ? { goal: rate } : {}) },
      ...of((run) => run.accepted / run.seconds),
    );
    if (connections === throughputConnections) {
      for (const name of ['gateway', 'kafka', 'the load']) {
        const micros = (run: Run): number => (run.cpu[name] ?? run.cpu.floor!) / run.accepted;
        report.addPairs({ part, what: `CPU of ${name}`, unit: 'µs/ping' }, ...of(micros));
      }
    } else {
      report.addPairs({ part, what: 'p50', unit: 'ms', goal: '≤ 8 ms' }, ...of((run) => run.p50));
      report.addPairs({ part, what: 'p99', unit: 'ms', goal: '≤ 30 ms' }, ...of((run) => run.p99));
    }
    const refused = median(runs.map((run) => (run.statuses[503] ?? 0) / run.seconds));
    if (refused > 0) report.add({ part, what: 'requests answered 503', unit: '1/s', ours: refused });
  }
  const memory = { ours: await peakMemoryMiB(ours.pid), floor: await peakMemoryMiB(floor.pid) };
  report.add({ part: 'gateway', what: 'peak memory', unit: 'MiB', ...memory, goal: '≤ 512 MiB' });
  await area.close();
}

async function measured(load: LoadGenerator, job: LoadJob, pids: Record<string, number>): Promise<Run> {
  let meter: ReturnType<typeof startMeter> | undefined;
  let cpu: Promise<Record<string, number>> | undefined;
  const result = await load.run(job, {
    measuring: () => {
      meter = startMeter(pids);
    },
    measured: () => {
      cpu = meter?.then((stop) => stop());
    },
  });
  return { ...result, cpu: (await cpu)! };
}

async function startFloor({ dir, engines, lifecycle }: Context, area: Area): Promise<Server> {
  const port = await freePort();
  const broker = new URL(engines.kafka.url).host;
  const engine = await startEngine({
    name: 'floor',
    url: `http://127.0.0.1:${port}`,
    command: process.execPath,
    args: [
      fileURLToPath(new URL('../floors/http-kafka.ts', import.meta.url)),
      ...['--port', String(port), '--broker', broker, '--topic', area.topicName(floorTopic)],
    ],
    dir: path.join(dir, 'floor'),
    ready: (log) => log.includes('listening'),
  });
  lifecycle.onClose('floor', () => engine.stop());
  return { name: 'floor', pid: engine.pid, port };
}
