import { fileURLToPath } from 'node:url';
import type { ServiceDatabase } from '@worktide/postgres';

/** This service's part of the database, for whoever deploys it. */
export const database: ServiceDatabase = {
  schema: 'screenshots',
  role: 'worktide_screenshot_processor',
  folder: fileURLToPath(new URL('../migrations', import.meta.url)),
  outbox: true,
};
