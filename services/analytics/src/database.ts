import { fileURLToPath } from 'node:url';
import type { ServiceDatabase } from '@worktide/postgres';

/** This service's part of PostgreSQL, for whoever deploys it: the exports that are asked for, and what is told of them. */
export const database: ServiceDatabase = {
  schema: 'analytics',
  role: 'worktide_analytics',
  folder: fileURLToPath(new URL('../migrations-postgres', import.meta.url)),
  outbox: true,
};
