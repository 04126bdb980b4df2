export { type Config, configSchema } from './config.ts';
export { startStandalone } from './start.ts';
