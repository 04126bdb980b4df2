import { randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cached } from '../cache.ts';
import { run } from '../command.ts';
import { type Engine, startEngine } from '../engine.ts';
import { findJava, findMaven } from '../java.ts';
import { freePort } from '../ports.ts';
import { formatArguments, type KafkaSecurity, securedListeners } from './kafka-security.ts';

/** 4.4.0 does not resolve from Maven Central. */
const kafkaVersion = '4.3.1';
const log4jVersion = '2.25.3';

const pom = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>worktide</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>${log4jVersion}</version></dependency>
  </dependencies>
</project>
`;

const log4j = `status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
`;

interface Node {
  id: number;
  port: number;
  controllerPort: number;
}

/** Broker and controller in one; what the broker keeps for itself is on as many as there are, up to three. */
function properties(dir: string, node: Node, nodes: Node[]): string {
  const replication = Math.min(3, nodes.length);
  const minInsync = Math.max(1, replication - 1);
  const voters = nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(',');
  return `process.roles=broker,controller
node.id=${node.id}
controller.quorum.voters=${voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${node.port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=${path.join(dir, 'data')}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=${replication}
offsets.topic.replication.factor=${replication}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=${replication}
transaction.state.log.min.isr=${minInsync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=${replication}
share.coordinator.state.topic.min.isr=${minInsync}
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
# The first consumer of a group gets its partitions at once instead of after three seconds.
group.initial.rebalance.delay.ms=0
# After kill -9 the controller refuses the broker until its old session has run out: nine seconds by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`;
}

/** Downloads Kafka once (46 jars, 44 MB) and formats an empty data folder that every start copies, saving a JVM start. */
export const prepareKafka = (): Promise<string> =>
  cached(`kafka-${kafkaVersion}`, async (folder) => {
    const maven = await findMaven();
    const java = await findJava(17);
    await writeFile(path.join(folder, 'pom.xml'), pom);
    await writeFile(path.join(folder, 'log4j2.properties'), log4j);
    const libs = path.join(folder, 'libs');
    const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
    const options = ['-q', '-B', '-ntp', '-f', path.join(folder, 'pom.xml'), copy, '-DincludeScope=runtime'];
    await run(maven, [...options, `-DoutputDirectory=${libs}`], { cwd: folder });
    const config = path.join(folder, 'format.properties');
    const node = { id: 1, port: 9092, controllerPort: 9093 };
    await writeFile(config, properties(folder, node, [node]));
    await format(java, libs, config);
  });

const smallJvm = (libs: string): string[] => [
  '-Xmx128m',
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-cp',
  `${libs}/*`,
];

/** Makes the data folder of a configuration. */
const format = (java: string, libs: string, config: string, options: string[] = []): Promise<string> =>
  run(java, [
    ...smallJvm(libs),
    'kafka.tools.StorageTool',
    'format',
    '-t',
    'MkU3OEVBNTcwNTJENDM2Qk',
    '-c',
    config,
    ...options,
  ]);

export interface KafkaOptions {
  /** Data, configuration and log of this broker; an existing one is continued. */
  dir: string;
  port?: number;
  /** The JVM's heap, e.g. `512m`. */
  heap?: string;
  /** Full optimisation takes longer to start and carries more: for benchmarks, not for tests. */
  optimised?: boolean;
  /** More listeners, beside the plain one: with TLS and passwords, and with TLS and client certificates. */
  security?: KafkaSecurity;
}

/**
 * Gives a user another password (SCRAM-SHA-512) on a running broker, or makes one.
 * @param port of its plain listener.
 */
export async function setKafkaPassword(port: number, user: string, password: string): Promise<void> {
  const where = ['--bootstrap-server', `127.0.0.1:${port}`, '--entity-type', 'users', '--entity-name', user];
  const change = ['--alter', '--add-config', `SCRAM-SHA-512=[password=${password}]`];
  const libs = path.join(await prepareKafka(), 'libs');
  await run(await findJava(17), [...smallJvm(libs), 'kafka.admin.ConfigCommand', ...where, ...change]);
}

/** A real Kafka broker on loopback; `url` is `kafka://127.0.0.1:<port>`. */
export async function startKafka(options: KafkaOptions): Promise<Engine> {
  const port = options.port ?? (await freePort());
  const node = { id: 1, port, controllerPort: await freePort() };
  return startNode({ heap: '512m', ...options }, node, [node]);
}

export interface KafkaCluster {
  /** `kafka://` with every broker. */
  url: string;
  /** Each with the URL of itself alone. */
  brokers: Engine[];
  stop(): Promise<void>;
}

/** Several real brokers on loopback, three unless said, each of them controller as well. */
export async function startKafkaCluster(
  options: Omit<KafkaOptions, 'port' | 'security'> & { brokers?: number },
): Promise<KafkaCluster> {
  const { brokers: count = 3, dir, ...rest } = options;
  const ports: number[] = [];
  while (ports.length < 2 * count) {
    const port = await freePort();
    if (!ports.includes(port)) ports.push(port);
  }
  const nodes = Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    port: ports[2 * i]!,
    controllerPort: ports[2 * i + 1]!,
  }));
  const starts = await Promise.allSettled(
    nodes.map((node) => startNode({ heap: '256m', ...rest, dir: path.join(dir, `broker-${node.id}`) }, node, nodes)),
  );
  const brokers = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const stop = async (): Promise<void> => void (await Promise.all(brokers.map((broker) => broker.stop())));
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return { url: `kafka://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`, brokers, stop };
}

async function startNode(
  options: Omit<KafkaOptions, 'port' | 'heap'> & { heap: string },
  node: Node,
  nodes: Node[],
): Promise<Engine> {
  const { dir, heap, optimised = false, security } = options;
  const home = await prepareKafka();
  const java = await findJava(17);
  await mkdir(dir, { recursive: true });
  const config = path.join(dir, 'server.properties');
  const plain = properties(dir, node, nodes);
  await writeFile(config, security ? await securedListeners(plain, dir, security) : plain);
  const data = path.join(dir, 'data');
  // An existing data folder stays as it is. The users of a secured one are among what formatting makes.
  if (!security) await cp(path.join(home, 'data'), data, { recursive: true, force: false });
  else if (!(await stat(data).catch(() => undefined))) {
    await format(java, path.join(home, 'libs'), config, formatArguments(security));
  }
  await nameFolder(path.join(data, 'meta.properties'), node.id);
  const speed = optimised ? ['-XX:+UseParallelGC'] : ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
  return startEngine({
    name: 'kafka',
    url: `kafka://127.0.0.1:${node.port}`,
    command: java,
    args: [
      '-Xms64m',
      `-Xmx${heap}`,
      ...speed,
      `-Dlog4j2.configurationFile=${path.join(home, 'log4j2.properties')}`,
      '-cp',
      `${path.join(home, 'libs')}/*`,
      'kafka.Kafka',
      config,
    ],
    dir,
    ready: (log) => log.includes('Kafka Server started'),
  });
}

/** The folder was formatted for node 1: another node's copy gets the node's number and an id of its own. */
async function nameFolder(file: string, id: number): Promise<void> {
  const text = await readFile(file, 'utf8');
  if (text.includes(`node.id=${id}\n`)) return;
  const directory = randomBytes(16).toString('base64url');
  await writeFile(
    file,
    text.replace(/^node\.id=.*$/m, `node.id=${id}`).replace(/^directory\.id=.*$/m, `directory.id=${directory}`),
  );
}
