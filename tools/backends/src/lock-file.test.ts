import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

interface LockedPackage {
  version?: string;
  link?: boolean;
  /** Part of the archive of the package above it, whose hash is over it, too. */
  inBundle?: boolean;
  integrity?: string;
  resolved?: string;
}

const lock = JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, LockedPackage>;
};

test('every package that can be installed is locked by its SHA-512, for every platform', () => {
  const foreign = Object.entries(lock.packages).filter(
    ([path, one]) => path.includes('node_modules/') && !one.link && !one.inBundle,
  );
  expect(foreign.length).toBeGreaterThan(500);
  expect(foreign.filter(([, one]) => !one.integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
});
