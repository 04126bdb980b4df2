import { createLogger, createMetrics, httpOptions, loadConfig, runProcess, serve } from '@worktide/runtime';
import { configSchema, run, serviceName } from './index.ts';

const log = createLogger({ service: serviceName, level: process.env.LOG_LEVEL || 'info' });

await runProcess(log, async (lifecycle) => {
  const config = loadConfig(configSchema, process.env);
  const metrics = createMetrics({ processMetrics: true });
  const services = [await run(config, { lifecycle, log, metrics })];
  await serve({ services, lifecycle, log, metrics, ...httpOptions(config) });
});
