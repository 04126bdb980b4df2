export { cached } from './cache.ts';
export { type Authority, type Certificate, makeAuthority } from './certificates.ts';
export { chromium } from './chromium.ts';
export { backend } from './client.ts';
export { aptInstall, onPath, run } from './command.ts';
export { freshClickHouseDatabase, freshDatabase } from './databases.ts';
export { type Engine, type EngineSpec, startEngine } from './engine.ts';
export { type ClickHouseOptions, startClickHouse } from './engines/clickhouse.ts';
export {
  type KafkaCluster,
  type KafkaOptions,
  setKafkaPassword,
  startKafka,
  startKafkaCluster,
} from './engines/kafka.ts';
export type { KafkaSecurity } from './engines/kafka-security.ts';
export { type PgBouncerOptions, startPgBouncer } from './engines/pgbouncer.ts';
export { type PostgresOptions, startPostgres } from './engines/postgres.ts';
export { type RedisOptions, startRedis } from './engines/redis.ts';
export { type RegistryOptions, startRegistry } from './engines/registry.ts';
export { type S3Options, startS3 } from './engines/s3.ts';
export { type BackendName, backendNames } from './names.ts';
export { freePort } from './ports.ts';
export { makePrivate } from './private-folder.ts';
export { isRunning, startOf } from './processes.ts';
export { pythonPackage } from './python.ts';
export * from './service-database.ts';
export { type SmallDisk, smallDisk } from './small-disk.ts';
export { startTlsProxy, type TlsProxy } from './tls-proxy.ts';
