import { fileURLToPath } from 'node:url';
import type { ServiceDatabase } from '@worktide/postgres';

/** This service's part of the database, for whoever deploys it. */
export const database: ServiceDatabase = {
  schema: 'auth',
  role: 'worktide_auth',
  folder: fileURLToPath(new URL('../migrations', import.meta.url)),
  outbox: true,
};
