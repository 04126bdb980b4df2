import type { Logger } from '@worktide/runtime';
import { migrate } from './migrate.ts';

/** What a service says of its part of the database; whoever deploys it brings the administrator and the password. */
export interface ServiceDatabase {
  schema: string;
  role: string;
  /** Folder of its migrations. */
  folder: string;
  extensions?: string[];
  /** Whether it writes events through an outbox. */
  outbox: boolean;
}

/**
 * Brings a service's role, schema and tables up to date.
 * @returns the URL with which the service connects.
 * @throws as `migrate`.
 */
export async function prepareServiceDatabase(options: {
  adminUrl: string;
  database: ServiceDatabase;
  password: string;
  log: Logger;
}): Promise<string> {
  const { adminUrl, database, password, log } = options;
  const { schema, role, ...rest } = database;
  await migrate({ adminUrl, service: { schema, role, password }, ...rest, log });
  const url = new URL(adminUrl);
  url.username = role;
  // The setter leaves a percent sign as it is.
  url.password = encodeURIComponent(password);
  return url.href;
}
