export { environment } from './config.ts';
export { type DatabaseService, prepareBucket, prepareClickHouse, preparePostgres, prepareTopics } from './engines.ts';
