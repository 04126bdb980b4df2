import { createPool, type Pool, prepareServiceDatabase, type ServiceDatabase } from '@worktide/postgres';
import { silentLogger } from '@worktide/runtime';
import { freshDatabase } from './databases.ts';

/** A service's own database for one test file, its migrations applied. */
export interface TestDatabase {
  /** As the service's role. */
  url: string;
  /** As the administrator, to look from outside and to turn clocks. */
  admin: Pool;
  drop(): Promise<void>;
}

export async function freshServiceDatabase(database: ServiceDatabase, ofItsOwn?: string): Promise<TestDatabase> {
  const log = silentLogger();
  const { adminUrl, drop } = await freshDatabase(ofItsOwn);
  const url = await prepareServiceDatabase({ adminUrl, database, password: 'secret', log });
  const admin = createPool(adminUrl, { applicationName: 'test', log });
  return {
    url,
    admin,
    async drop() {
      await admin.end();
      await drop();
    },
  };
}
