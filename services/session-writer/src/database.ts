import { fileURLToPath } from 'node:url';
import type { ServiceDatabase } from '@worktide/postgres';

/** This service's part of the database, for whoever deploys it. */
export const database: ServiceDatabase = {
  schema: 'tracking',
  role: 'worktide_session_writer',
  folder: fileURLToPath(new URL('../migrations', import.meta.url)),
  // The exclusion constraint compares plain types inside a GiST index.
  extensions: ['btree_gist'],
  outbox: true,
};
