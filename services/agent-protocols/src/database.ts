import { fileURLToPath } from 'node:url';
import type { ServiceDatabase } from '@worktide/postgres';

/** This service's part of the database, for whoever deploys it. */
export const database: ServiceDatabase = {
  schema: 'agent_protocols',
  role: 'worktide_agent_protocols',
  folder: fileURLToPath(new URL('../migrations', import.meta.url)),
  outbox: true,
};
