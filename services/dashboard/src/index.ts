export { type Config, configSchema } from './config.ts';
export { run, serviceName } from './run.ts';
