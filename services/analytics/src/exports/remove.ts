import type { ObjectStore } from '@worktide/object-store';
import { prefixOf } from './keys.ts';

/** Removes what tries of an export have stored, but for the one that is its file. Rejects 503. */
export async function removeFiles(
  store: Pick<ObjectStore, 'list' | 'deleteMany'>,
  named: { organizationId: string; id: string },
  but?: string,
): Promise<void> {
  const { items } = await store.list(prefixOf(named), { limit: 1_000 });
  const keys = items.map(({ key }) => key).filter((key) => key !== but);
  if (keys.length > 0) await store.deleteMany(keys);
}
