/** Files of imports, organisation first. */
export const importsPrefix = 'imports/';

export const fileKeyOf = (organizationId: string, id: string): string => `${importsPrefix}${organizationId}/${id}`;

/** @returns undefined for what is no such key. */
export function importOfKey(key: string): { organizationId: string; id: string } | undefined {
  const [, organizationId, id] = /^imports\/([\da-f-]{36})\/([\da-f-]{36})$/.exec(key) ?? [];
  return organizationId === undefined || id === undefined ? undefined : { organizationId, id };
}
