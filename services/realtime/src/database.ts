import { fileURLToPath } from 'node:url';
import type { ServiceDatabase } from '@worktide/postgres';

/** This service's part of the database, for whoever deploys it. */
export const database: ServiceDatabase = {
  schema: 'realtime',
  role: 'worktide_realtime',
  folder: fileURLToPath(new URL('../migrations', import.meta.url)),
  outbox: true,
};
