import type { IncomingMessage } from 'node:http';
import { isAgentKey } from '@worktide/identity';

/** What paths of foreign protocols begin with; a credential elsewhere than in a Bearer header is looked for there alone. */
const foreign = [
  '/api/0/',
  '/agent/',
  '/api/v1/users/current',
  '/api/heartbeat',
  '/api/users/',
  '/api/compat/wakatime/',
];
/** Keys have 41 characters; what is longer is not decoded. */
const maxLength = 1_024;

/**
 * Moves the key of an agent of another system to where ours have theirs: out of the path (`/agent/<key>/…`), the query
 * (`?api_key=`) or a Basic header into `Authorization: Bearer`. Done before anything looks at a request, so that nobody behind it,
 * no log, metric, trace or answer, ever has the address that the key stood in. What is no key is taken out as well:
 * it is somebody's key, mistyped.
 */
export function takeCredential(req: IncomingMessage): void {
  const url = req.url ?? '/';
  if (!foreign.some((start) => url.startsWith(start))) return;
  let address = url;
  let key = keyOfBasic(req.headers.authorization);
  const [, inPath, rest] = /^\/agent\/([^/?#]*)(.*)$/s.exec(address) ?? [];
  if (inPath !== undefined) {
    key ??= decoded(inPath);
    // What an agent's address leads to is a foreign protocol, never our own interface.
    address = rest!.startsWith('/api/0/') ? rest! : `/agent/hidden${rest!}`;
  }
  const query = address.indexOf('?');
  if (query >= 0 && /[?&]api_key=/i.test(address)) {
    const parameters = new URLSearchParams(address.slice(query + 1));
    for (const name of new Set(parameters.keys())) {
      if (name.toLowerCase() !== 'api_key') continue;
      key ??= parameters.get(name) ?? undefined;
      parameters.delete(name);
    }
    address = address.slice(0, query) + (parameters.size > 0 ? `?${parameters}` : '');
  }
  req.url = ours(address);
  // Who sends both means the header; one that is no Bearer of ours is not looked at.
  if (key !== undefined && isAgentKey(key) && !/^bearer /i.test(req.headers.authorization ?? '')) {
    req.headers.authorization = `Bearer ${key}`;
  }
}

/** Paths under which WakaTime's plugins know what is one protocol: Wakapi has names of its own for it. */
function ours(address: string): string {
  const query = address.indexOf('?');
  const path = query < 0 ? address : address.slice(0, query);
  const rest = query < 0 ? '' : address.slice(query);
  const [, below] = /^\/api\/(?:compat\/wakatime\/v1\/)?users\/[^/]+(\/.*)?$/.exec(path) ?? [];
  if (/^\/api\/(compat\/wakatime\/v1\/)?users\/[^/]+/.test(path)) return `/api/v1/users/current${below ?? ''}${rest}`;
  return /^\/api\/heartbeats?\/?$/.test(path) ? `/api/v1/users/current/heartbeats${rest}` : address;
}

/** Of `agent:<key>`, `<key>:` and `<key>`; undefined for anything else. */
function keyOfBasic(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > maxLength) return undefined;
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(authorization) ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon >= 0 && colon < text.length - 1 ? text.slice(colon + 1) : text.slice(0, colon < 0 ? undefined : colon);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
