import { fileURLToPath } from 'node:url';

export { type Config, configSchema } from './config.ts';
export { database } from './database.ts';
export { createReports, type Reports } from './reports/reports.ts';
export { run } from './run.ts';
export { type Analysts, openAnalysts } from './sql/open.ts';
export { createSummarize } from './summaries/summarize.ts';
export { sweep } from './summaries/sweep.ts';
export const serviceName = 'analytics';

/** Files for `migrateClickHouse`. */
export const migrationsFolder = fileURLToPath(new URL('../migrations', import.meta.url));
