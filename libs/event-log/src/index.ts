export { eventLogConfig, replicationConfig, replicationFrom, replicationOf } from './config.ts';
export { deadLetterHeaders } from './dead-letters.ts';
export { openEventLog } from './open.ts';
export { partitionFor } from './partition.ts';
export type * from './types.ts';
