export { type Config, configSchema } from './config.ts';
export { run } from './run.ts';
export const serviceName = 'ingest-gateway';
