import { request } from 'node:http';
import { s3Account, s3Url } from './engines/s3.ts';
import type { BackendName } from './names.ts';
import { freePort } from './ports.ts';
import type { Running } from './supervisor.ts';

interface Image {
  image: string;
  /** The port inside the container. */
  port: number;
  environment(hostPort: number): Record<string, string>;
  /** A shell line to start with instead of the image's own. */
  shell?: string;
  url(host: string, hostPort: number): string;
  ready: { log: RegExp } | { path: string };
}

const images: Record<BackendName, Image> = {
  kafka: {
    image: 'apache/kafka:4.3.1',
    port: 9092,
    environment: (hostPort) => ({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093',
      // Clients outside are sent to the port on the host.
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${hostPort}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '8',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
    }),
    url: (host, port) => `kafka://${host}:${port}`,
    ready: { log: /Kafka Server started/ },
  },
  postgres: {
    image: 'postgres:18',
    port: 5432,
    environment: () => ({ POSTGRES_PASSWORD: 'postgres' }),
    url: (host, port) => `postgres://postgres:postgres@${host}:${port}/postgres`,
    // Its first start is the initialisation, on a socket only.
    ready: { log: /listening on IPv4 address[\s\S]*ready to accept connections/ },
  },
  clickhouse: {
    image: 'clickhouse/clickhouse-server:26.7',
    port: 8123,
    environment: () => ({ CLICKHOUSE_SKIP_USER_SETUP: '1' }),
    url: (host, port) => `http://default:@${host}:${port}/default`,
    ready: { path: '/ping' },
  },
  redis: {
    image: 'redis:7',
    port: 6379,
    environment: () => ({}),
    url: (host, port) => `redis://${host}:${port}`,
    ready: { log: /Ready to accept connections/ },
  },
  registry: {
    image: 'apicurio/apicurio-registry:3.3.3',
    port: 8080,
    environment: () => ({}),
    url: (host, port) => `http://${host}:${port}/apis/ccompat/v7`,
    ready: { path: '/apis/ccompat/v7/subjects' },
  },
  s3: {
    image: 'quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z',
    port: 9000,
    environment: () => ({ MINIO_ROOT_USER: s3Account.key, MINIO_ROOT_PASSWORD: s3Account.secret }),
    // A folder that is there at the start is a bucket.
    shell: `mkdir -p /data/${s3Account.bucket} && exec minio server /data`,
    url: s3Url,
    ready: { path: '/minio/health/ready' },
  },
};

/** Whether a Docker engine answers at its usual socket, or at a `unix://` or `tcp://` `DOCKER_HOST`, within a second. */
export function dockerAnswers(): Promise<boolean> {
  const host = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  const where = host.startsWith('unix://')
    ? { socketPath: host.slice('unix://'.length) }
    : { hostname: new URL(host).hostname, port: new URL(host).port || '2375' };
  return new Promise((resolve) => {
    const ping = request({ ...where, path: '/_ping', timeout: 1_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy());
    ping.once('error', () => resolve(false));
    ping.end();
  });
}

/** Starts an engine as a container that testcontainers removes, also after a crash of this process. */
export async function startContainer(name: BackendName): Promise<Running> {
  const spec = images[name];
  // Only where it is used: loading it takes longer than most engines take to start.
  const { GenericContainer, Wait } = await import('testcontainers');
  const hostPort = await freePort();
  const ready = 'log' in spec.ready ? Wait.forLogMessage(spec.ready.log) : Wait.forHttp(spec.ready.path, spec.port);
  const image = new GenericContainer(spec.image);
  if (spec.shell) image.withEntrypoint(['sh', '-c']).withCommand([spec.shell]);
  const container = await image
    .withExposedPorts({ container: spec.port, host: hostPort })
    .withEnvironment(spec.environment(hostPort))
    .withWaitStrategy(ready)
    .withStartupTimeout(180_000)
    .start();
  return {
    url: spec.url(container.getHost(), container.getMappedPort(spec.port)),
    stop: async () => void (await container.stop()),
  };
}
