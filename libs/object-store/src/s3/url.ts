import { badUrl } from '../bad-url.ts';

export interface S3Address {
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined;
  endpoint: string | undefined;
  publicEndpoint: string | undefined;
  region: string | undefined;
  pathStyle: boolean;
  prefix: string;
}

const parameters = ['endpoint', 'publicEndpoint', 'region', 'pathStyle', 'prefix'];

/** @throws AppError `BAD_CONFIGURATION`, which repeats nothing of the URL but names of parameters. */
export function parseS3Url(text: string): S3Address {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw badUrl('expected s3://[key:secret@]bucket?…, key and secret percent-encoded');
  }
  const query = url.searchParams;
  // A secret with a `?` in it: the rest of it looks like parameters.
  if (url.search.includes('@')) throw badUrl('key and secret are to be percent-encoded');
  const unknown = [...query.keys()].filter((name) => !parameters.includes(name));
  if (unknown.length > 0) throw badUrl(`unknown parameter ${unknown.join(', ')}`);
  const bucket = decodeURIComponent(url.hostname);
  if (!/^[A-Za-z0-9][\w.-]{1,62}$/.test(bucket)) throw badUrl('this is no name of a bucket');
  if (url.pathname !== '' && url.pathname !== '/') throw badUrl('a path goes into prefix=');
  const pathStyle = query.get('pathStyle') ?? 'false';
  if (!['true', 'false'].includes(pathStyle)) throw badUrl('pathStyle is true or false');
  const prefix = query.get('prefix') ?? '';
  if (!/^[\w./-]{0,200}$/.test(prefix)) throw badUrl('prefix may hold letters, digits, / . - and _');
  if ((url.username === '') !== (url.password === '')) throw badUrl('a key needs a secret, and a secret a key');
  return {
    bucket,
    credentials: url.username
      ? { accessKeyId: decode(url.username), secretAccessKey: decode(url.password) }
      : undefined,
    endpoint: endpointOf(query.get('endpoint'), 'endpoint'),
    publicEndpoint: endpointOf(query.get('publicEndpoint'), 'publicEndpoint'),
    region: query.get('region') ?? undefined,
    pathStyle: pathStyle === 'true',
    prefix,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badUrl('key and secret are to be percent-encoded');
  }
}

function endpointOf(text: string | null, name: string): string | undefined {
  if (text === null) return undefined;
  if (!/^https?:\/\/[^@/]+\/?$/.test(text) || !URL.canParse(text)) throw badUrl(`${name} is http(s)://host:port`);
  return text;
}
