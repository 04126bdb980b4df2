import { loadConfig } from '@worktide/runtime';
import { z } from 'zod';
import type { ReplicationOptions } from './types.ts';

const copies = z.coerce.number().int().min(1).max(100).optional();

/** The environment of whoever makes topics. */
export const replicationConfig = {
  /** On how many brokers a topic is; 3 unless said, or as many as there are. */
  EVENT_LOG_REPLICATION: copies,
  /** How many of them must have a record before it is acknowledged; more than half unless said. */
  EVENT_LOG_MIN_INSYNC: copies,
};

/** A service's environment for its log. */
export const eventLogConfig = {
  /** `kafka://host:9092,host:9092`, `kafkas://…` with TLS, or `lmdb:folder`, embedded. */
  EVENT_LOG_URL: z.string(),
  ...replicationConfig,
};

/** What of a service's environment is for `OpenOptions.replication`. */
export const replicationOf = (config: {
  EVENT_LOG_REPLICATION?: number | undefined;
  EVENT_LOG_MIN_INSYNC?: number | undefined;
}): ReplicationOptions => ({ replication: config.EVENT_LOG_REPLICATION, minInsync: config.EVENT_LOG_MIN_INSYNC });

/** The same for whoever has no other configuration. @throws AppError `BAD_CONFIGURATION` */
export const replicationFrom = (env: NodeJS.ProcessEnv): ReplicationOptions =>
  replicationOf(loadConfig(z.object(replicationConfig), env));
