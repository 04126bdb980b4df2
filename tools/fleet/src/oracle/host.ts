/**
 * The host of a ping's URL: lower case, without credentials, port, closing dot and one leading `www.`
 * (`www.com` is its own name); null for other schemes
 * than http and https, and without a URL. By hand instead of by the URL class, which the gateway uses:
 * the fleet posts plain ASCII hosts, for which this is the whole rule.
 */
export function hostOf(url: string | undefined): string | null {
  const authority = /^https?:\/\/([^/?#]*)/i.exec(url ?? '')?.[1];
  if (authority === undefined) return null;
  const host = authority
    .slice(authority.lastIndexOf('@') + 1)
    .replace(/:\d*$/, '')
    .replace(/\.$/, '')
    .toLowerCase();
  return /^www\..+\./.test(host) ? host.slice(4) : host;
}
