/** Where the files of exports lie. */
export const exportsPrefix = 'exports/';

interface Named {
  organizationId: string;
  id: string;
}

/** Of all that tries of an export have stored. */
export const prefixOf = ({ organizationId, id }: Named): string => `${exportsPrefix}${organizationId}/${id}/`;

/** Of what one try stores; each has its own, so that a late one replaces nothing. */
export const fileKeyOf = (named: Named & { lease: string; fileName: string }): string =>
  `${prefixOf(named)}${named.lease}/${named.fileName}`;

/** Whose a key is; undefined for one that is none of ours. */
export function tryOfKey(key: string): (Named & { lease: string }) | undefined {
  const [, organizationId, id, lease, fileName, ...rest] = key.split('/');
  if (!key.startsWith(exportsPrefix) || rest.length > 0 || !fileName) return undefined;
  if (![organizationId, id, lease].every((part) => part !== undefined && isUuid(part))) return undefined;
  return { organizationId: organizationId!, id: id!, lease: lease! };
}

const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
