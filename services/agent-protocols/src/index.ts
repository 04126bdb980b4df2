export { type Config, configSchema } from './config.ts';
export { database } from './database.ts';
export { run, serviceName } from './run.ts';
