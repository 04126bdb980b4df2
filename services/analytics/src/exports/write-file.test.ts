import { expect, test } from '@jest/globals';
import type { ObjectStore } from '@worktide/object-store';
import type { Claim } from './claims.ts';
import { type WriteDeps, writeFile } from './write-file.ts';

test('what is not wanted any more before it begins ends at once, and asks nobody', async () => {
  const unused = () => {
    throw new Error('nobody is to be asked');
  };
  const deps = {
    store: { put: unused } as Pick<ObjectStore, 'put'>,
    clickhouse: { query: unused, stream: unused },
    bounds: { maxRows: 1, maxBytes: 1, maxStoredBytes: 1 },
  } as unknown as WriteDeps;
  const claim = { report: 'usage', format: 'csv', organizationId: 'o', id: 'e', lease: 'l' } as Claim;
  const stopped = new Error('the service stops');
  const progress = { progress: 0, rows: 0, bytes: 0 };
  await expect(writeFile(deps, claim, progress, AbortSignal.abort(stopped))).rejects.toBe(stopped);
});
