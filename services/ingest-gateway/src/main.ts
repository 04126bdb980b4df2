import {
  createLogger,
  createMetrics,
  httpOptions,
  keepRequestsYoung,
  loadConfig,
  runProcess,
  serve,
} from '@worktide/runtime';
import { configSchema } from './config.ts';
import { run } from './run.ts';

keepRequestsYoung();
const log = createLogger({ service: 'ingest-gateway', level: process.env.LOG_LEVEL || 'info' });

await runProcess(log, async (lifecycle) => {
  const config = loadConfig(configSchema, process.env);
  const metrics = createMetrics({ processMetrics: true });
  const services = [await run(config, { lifecycle, log, metrics })];
  await serve({ services, lifecycle, log, metrics, ...httpOptions(config) });
});
