/** Schemes that carry code or content instead of naming a place. */
const refusedSchemes = new Set(['javascript:', 'data:']);
/** RFC 1035 §2.3.4, as text without the trailing dot. */
const maxHostLength = 253;

export type ReadUrl = { url: string; host: string | null } | { code: string; message: string };

/**
 * Most addresses are plain: lower-case letters, no port, no user. Their host needs no URL parser
 * (a third of the cost of a ping before). A last label that starts with a digit may be an IPv4 number in any of
 * its spellings and goes the long way, as does anything with `xn--`, which the parser checks.
 */
const plain = /^https?:\/\/((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9]+)(?:[/?#][\x21-\x7e]*)?$/;

/**
 * What is kept of a ping's URL, never longer than what was given. `http(s)`: the URL without credentials (its origin
 * where they cannot be told from the rest) and its host, lower case, without port, leading `www.` and closing dot; other
 * schemes: the scheme alone and no host.
 */
export function readUrl(text: string): ReadUrl {
  const quick = plain.exec(text);
  if (quick && quick[1]!.length <= maxHostLength && !text.includes('xn--')) {
    return { url: text, host: siteOf(quick[1]!) };
  }
  let parsed: URL;
  try {
    parsed = new URL(text);
  } catch {
    return { code: 'INVALID_URL', message: 'url is not an absolute URL.' };
  }
  if (refusedSchemes.has(parsed.protocol)) {
    return { code: 'URL_SCHEME_REFUSED', message: `url must not be a ${parsed.protocol} address.` };
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return { url: parsed.protocol, host: null };
  const host = siteOf(parsed.hostname);
  if (host.length > maxHostLength) {
    return { code: 'INVALID_URL', message: `The host of url has more than ${maxHostLength} characters.` };
  }
  if (parsed.username !== '' || parsed.password !== '') {
    // A password in an address is nobody's to store.
    parsed.username = '';
    parsed.password = '';
    const url = withoutCredentials(text);
    const same = URL.canParse(url) && new URL(url).href === parsed.href;
    return { url: same ? url : parsed.origin, host };
  }
  return { url: text, host };
}

/** What of an address that is not kept is looked at. */
const maxLooked = 4_096;

/**
 * The host of an address that cannot be kept, as far as one can be read: rules of privacy go by hosts, and nobody gets round them by an
 * address that is too long or wrong. Null where there is none.
 */
export function hostReadable(text: string): string | null {
  const [, authority = ''] = /^[^a-z]*https?:[/\\]*([^/\\?#]*)/i.exec(text.slice(0, maxLooked)) ?? [];
  const name = authority
    .slice(authority.lastIndexOf('@') + 1)
    .replace(/:[^:\]]*$/, '')
    .trim()
    .toLowerCase();
  if (name === '') return null;
  return siteOf(URL.canParse(`https://${name}`) ? new URL(`https://${name}`).hostname : name);
}

/**
 * The text as it was given, but for the credentials: the parser's own spelling is percent-encoded, up to twelve
 * characters for one. Read as the URL Standard reads it: any slashes, either way, and the last `@` before the path.
 */
const withoutCredentials = (text: string): string =>
  text.replace(/[\t\n\r]/g, '').replace(/^([^a-z]*https?:[/\\]*)[^/\\?#]*@/i, '$1');

/** One name for one site: without the dot that ends a name of the DNS, and without `www.` before one of two labels or more. */
function siteOf(host: string): string {
  const name = host.length > 1 && host.endsWith('.') ? host.slice(0, -1) : host;
  return name.startsWith('www.') && name.includes('.', 4) ? name.slice(4) : name;
}
